"""The sets of the paper's evaluation: the 27 (Table 9), the seven natural shifts of ImageNet (section 3.3), retrieval (appendix
E.1), and two sets that Python packages carry. Class names and templates are data: `assets/datasets/<name>/`.

Sizes and metrics are the paper's; KITTI, SST2 and others were cut by its authors. `hub` is the repository of the set in
WebDataset's layout on the Hugging Face hub, where there is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from fullclip.evaluation.tasks.task import Kind, Metric
from fullclip.evaluation.tasks.webdataset import CLASSES, TEMPLATES, class_lines, lines_of

HUB_OWNER = "clip-benchmark"
SHIFT_CLASSES, WORDNET_IDS, FOLDERS = "imagenet_classes.txt", "wordnet_ids.txt", "folders.txt"
_ASK = "not stated; see the home page"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What is known of a set. `train` and `test` are the paper's numbers of images, 0 for a split that it does not use or
    count; `classes` is 0 for retrieval. `reference` is the set that a shift is one of. `packaged` names the Python package that
    carries the set.
    """

    title: str
    classes: int
    train: int
    test: int
    citation: str
    home: str
    kind: Kind = "classification"
    metric: Metric = "accuracy"
    hub: str = ""
    licence: str = _ASK
    reference: str = ""
    packaged: str = ""


def class_names(name: str) -> tuple[tuple[str, ...], ...]:
    """The names of each class, in the order of the labels; empty where none are shipped."""
    text = _asset(name, CLASSES)
    return () if text is None else class_lines(text)


def templates(name: str) -> tuple[str, ...]:
    """The sentences that the paper's authors chose for a set; empty where none are shipped."""
    text = _asset(name, TEMPLATES)
    return () if text is None else tuple(lines_of(text))


def imagenet_classes(name: str) -> tuple[tuple[int, ...], ...]:
    """For each class of a shift, the numbers of the ImageNet classes that it is, which may be none; empty where they are the
    same thousand.
    """
    text = _asset(name, SHIFT_CLASSES)
    lines = [] if text is None else text.removesuffix("\n").split("\n")
    return tuple(tuple(int(number) for number in line.split()) for line in lines)


def imagenet_wordnet_ids() -> tuple[str, ...]:
    """The WordNet id of each of ImageNet's classes, which are in their order."""
    return tuple(lines_of(_asset("imagenet", WORDNET_IDS) or ""))


def folder_names(name: str) -> tuple[str, ...]:
    """What the authors call the folders of the classes, in the order of `class_names`, where that is neither our names nor
    something that can be told from them; else empty.
    """
    text = _asset(name, FOLDERS)
    return () if text is None else tuple(lines_of(text))


def _asset(name: str, file: str) -> str | None:
    path = files("fullclip").joinpath("assets", "datasets", name, file)
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _shift(title: str, classes: int, test: int, citation: str, home: str, **more: str) -> Dataset:
    return Dataset(
        title=title,
        classes=classes,
        train=0,
        test=test,
        citation=citation,
        home=home,
        reference="imagenet",
        **more,  # type: ignore[arg-type]
    )


DATASETS: Mapping[str, Dataset] = {
    "food101": Dataset(
        title="Food-101", classes=101, train=75_750, test=25_250, hub="wds_food101",
        citation="Bossard et al. 2014, Food-101: mining discriminative components with random forests",
        home="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
    ),
    "cifar10": Dataset(
        title="CIFAR-10", classes=10, train=50_000, test=10_000, hub="wds_vtab-cifar10",
        citation="Krizhevsky 2009, Learning multiple layers of features from tiny images",
        home="https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "cifar100": Dataset(
        title="CIFAR-100", classes=100, train=50_000, test=10_000, hub="wds_vtab-cifar100",
        citation="Krizhevsky 2009, Learning multiple layers of features from tiny images",
        home="https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "birdsnap": Dataset(
        title="Birdsnap", classes=500, train=42_283, test=2_149,
        citation="Berg et al. 2014, Birdsnap: large-scale fine-grained visual categorization of birds",
        home="https://thomasberg.org/",
    ),
    "sun397": Dataset(
        title="SUN397", classes=397, train=19_850, test=19_850, hub="wds_sun397",
        citation="Xiao et al. 2010, SUN database: large-scale scene recognition from abbey to zoo",
        home="https://vision.princeton.edu/projects/2010/SUN/",
    ),
    "stanford_cars": Dataset(
        title="Stanford Cars", classes=196, train=8_144, test=8_041, hub="wds_cars",
        citation="Krause et al. 2013, 3D object representations for fine-grained categorization",
        home="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    ),
    "fgvc_aircraft": Dataset(
        title="FGVC Aircraft", classes=100, train=6_667, test=3_333, metric="mean_per_class", hub="wds_fgvc_aircraft",
        citation="Maji et al. 2013, Fine-grained visual classification of aircraft",
        home="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/", licence="non-commercial research",
    ),
    "voc2007": Dataset(
        title="Pascal VOC 2007", classes=20, train=5_011, test=4_952, kind="multilabel", metric="map_11_point",
        hub="wds_voc2007_multilabel",
        citation="Everingham et al. 2007, The PASCAL visual object classes challenge 2007",
        home="http://host.robots.ox.ac.uk/pascal/VOC/voc2007/",
    ),
    "dtd": Dataset(
        title="Describable Textures", classes=47, train=3_760, test=1_880, hub="wds_vtab-dtd",
        citation="Cimpoi et al. 2014, Describing textures in the wild",
        home="https://www.robots.ox.ac.uk/~vgg/data/dtd/", licence="research",
    ),
    "oxford_pets": Dataset(
        title="Oxford-IIIT Pets", classes=37, train=3_680, test=3_669, metric="mean_per_class", hub="wds_vtab-pets",
        citation="Parkhi et al. 2012, Cats and dogs",
        home="https://www.robots.ox.ac.uk/~vgg/data/pets/", licence="CC BY-SA 4.0",
    ),
    "caltech101": Dataset(
        title="Caltech-101", classes=102, train=3_060, test=6_085, metric="mean_per_class", hub="wds_vtab-caltech101",
        citation="Fei-Fei et al. 2004, Learning generative visual models from few training examples",
        home="https://data.caltech.edu/records/mzrjq-6wc02", licence="CC BY 4.0",
    ),
    "flowers102": Dataset(
        title="Oxford Flowers 102", classes=102, train=2_040, test=6_149, metric="mean_per_class", hub="wds_vtab-flowers",
        citation="Nilsback and Zisserman 2008, Automated flower classification over a large number of classes",
        home="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    ),
    "mnist": Dataset(
        title="MNIST", classes=10, train=60_000, test=10_000, hub="wds_mnist",
        citation="LeCun et al. 1998, Gradient-based learning applied to document recognition",
        home="http://yann.lecun.com/exdb/mnist/",
    ),
    "fer2013": Dataset(
        title="Facial Emotion Recognition 2013", classes=7, train=32_140, test=3_574, hub="wds_fer2013",
        citation="Goodfellow et al. 2013, Challenges in representation learning: a report on three machine learning contests",
        home="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
    ),
    "stl10": Dataset(
        title="STL-10", classes=10, train=1_000, test=8_000, hub="wds_stl10",
        citation="Coates et al. 2011, An analysis of single-layer networks in unsupervised feature learning",
        home="https://cs.stanford.edu/~acoates/stl10/",
    ),
    "eurosat": Dataset(
        title="EuroSAT", classes=10, train=10_000, test=5_000, hub="wds_vtab-eurosat",
        citation="Helber et al. 2019, EuroSAT: a novel dataset and deep learning benchmark for land use and land cover",
        home="https://github.com/phelber/EuroSAT", licence="MIT",
    ),
    "resisc45": Dataset(
        title="RESISC45", classes=45, train=3_150, test=25_200, hub="wds_vtab-resisc45",
        citation="Cheng et al. 2017, Remote sensing image scene classification: benchmark and state of the art",
        home="https://gcheng-nwpu.github.io/",
    ),
    "gtsrb": Dataset(
        title="GTSRB", classes=43, train=26_640, test=12_630, hub="wds_gtsrb",
        citation="Stallkamp et al. 2011, The German traffic sign recognition benchmark",
        home="https://benchmark.ini.rub.de/",
    ),
    "kitti_distance": Dataset(
        title="KITTI Distance", classes=4, train=6_770, test=711, hub="wds_vtab-kitti_closest_vehicle_distance",
        citation="Geiger et al. 2012, Are we ready for autonomous driving? The KITTI vision benchmark suite",
        home="https://www.cvlibs.net/datasets/kitti/", licence="CC BY-NC-SA 3.0",
    ),
    "country211": Dataset(
        title="Country211", classes=211, train=43_200, test=21_100, hub="wds_country211",
        citation="Radford et al. 2021, Learning transferable visual models from natural language supervision",
        home="https://github.com/openai/CLIP/blob/main/data/country211.md",
    ),
    "patch_camelyon": Dataset(
        title="PatchCamelyon", classes=2, train=294_912, test=32_768, hub="wds_vtab-pcam",
        citation="Veeling et al. 2018, Rotation equivariant CNNs for digital pathology",
        home="https://github.com/basveeling/pcam", licence="CC0",
    ),
    "ucf101": Dataset(
        title="UCF101", classes=101, train=9_537, test=1_794,
        citation="Soomro et al. 2012, UCF101: a dataset of 101 human action classes from videos in the wild",
        home="https://www.crcv.ucf.edu/data/UCF101.php",
    ),
    "kinetics700": Dataset(
        title="Kinetics-700", classes=700, train=494_801, test=31_669, metric="mean_top1_top5",
        citation="Carreira et al. 2019, A short note on the Kinetics-700 human action dataset",
        home="https://github.com/cvdfoundation/kinetics-dataset",
    ),
    "clevr_counts": Dataset(
        title="CLEVR Counts", classes=8, train=2_000, test=500, hub="wds_vtab-clevr_count_all",
        citation="Johnson et al. 2017, CLEVR: a diagnostic dataset for compositional language and elementary visual reasoning",
        home="https://cs.stanford.edu/people/jcjohns/clevr/", licence="CC BY 4.0",
    ),
    "hateful_memes": Dataset(
        title="Hateful Memes", classes=2, train=8_500, test=500, metric="roc_auc",
        citation="Kiela et al. 2020, The hateful memes challenge: detecting hate speech in multimodal memes",
        home="https://hatefulmemeschallenge.com/",
    ),
    "rendered_sst2": Dataset(
        title="Rendered SST2", classes=2, train=7_792, test=1_821, hub="wds_renderedsst2",
        citation="Radford et al. 2021, after Socher et al. 2013, Recursive deep models for semantic compositionality",
        home="https://github.com/openai/CLIP/blob/main/data/rendered-sst2.md",
    ),
    "imagenet": Dataset(
        title="ImageNet", classes=1_000, train=1_281_167, test=50_000, hub="wds_imagenet1k",
        citation="Deng et al. 2009, ImageNet: a large-scale hierarchical image database; Russakovsky et al. 2015",
        home="https://www.image-net.org/", licence="non-commercial research and education",
    ),
    "imagenet_v2": _shift(
        "ImageNetV2", 1_000, 10_000, "Recht et al. 2019, Do ImageNet classifiers generalize to ImageNet?",
        "https://github.com/modestyachts/ImageNetV2", hub="wds_imagenetv2", licence="MIT",
    ),
    "imagenet_sketch": _shift(
        "ImageNet Sketch", 1_000, 50_889,
        "Wang et al. 2019, Learning robust global representations by penalizing local predictive power",
        "https://github.com/HaohanWang/ImageNet-Sketch", hub="wds_imagenet_sketch",
    ),
    "youtube_bb": _shift(
        "Youtube-BB", 24, 0, "Shankar et al. 2021, Do image classifiers generalize across time?",
        "https://github.com/modestyachts/natural-perturbations-website", metric="mean_pm0_pm10",
    ),
    "imagenet_vid": _shift(
        "ImageNet Vid", 30, 0, "Shankar et al. 2021, Do image classifiers generalize across time?",
        "https://github.com/modestyachts/natural-perturbations-website", metric="mean_pm0_pm10",
    ),
    "objectnet": _shift(
        "ObjectNet", 113, 18_574, "Barbu et al. 2019, ObjectNet: a large-scale bias-controlled dataset",
        "https://objectnet.dev/", hub="wds_objectnet", licence="CC BY 4.0; never to be trained on",
    ),
    "imagenet_a": _shift(
        "ImageNet-A", 200, 7_500, "Hendrycks et al. 2021, Natural adversarial examples",
        "https://github.com/hendrycks/natural-adv-examples", hub="wds_imagenet-a", licence="MIT",
    ),
    "imagenet_r": _shift(
        "ImageNet-R", 200, 30_000, "Hendrycks et al. 2021, The many faces of robustness",
        "https://github.com/hendrycks/imagenet-r", hub="wds_imagenet-r", licence="MIT",
    ),
    "coco": Dataset(
        title="MS-COCO captions", classes=0, train=0, test=5_000, kind="retrieval", metric="recall@1",
        hub="wds_mscoco_captions",
        citation="Chen et al. 2015, Microsoft COCO captions: data collection and evaluation server",
        home="https://cocodataset.org/", licence="captions CC BY 4.0; photographs Flickr's terms",
    ),
    "flickr30k": Dataset(
        title="Flickr30k", classes=0, train=29_000, test=1_000, kind="retrieval", metric="recall@1", hub="wds_flickr30k",
        citation="Young et al. 2014, From image descriptions to visual denotations",
        home="https://shannon.cs.illinois.edu/DenotationGraph/", licence="research and education",
    ),
    "flickr8k": Dataset(
        title="Flickr8k", classes=0, train=6_000, test=1_000, kind="retrieval", metric="recall@1", hub="wds_flickr8k",
        citation="Hodosh et al. 2013, Framing image description as a ranking task",
        home="https://hockenmaier.cs.illinois.edu/8k-pictures.html", licence="research",
    ),
    "digits": Dataset(
        title="scikit-learn's digits", classes=10, train=1_348, test=449, packaged="scikit-learn",
        citation="Alpaydin and Kaynak 1998, Optical recognition of handwritten digits", licence="CC BY 4.0",
        home="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    ),
    "solar_cells": Dataset(
        title="Solar cells (ELPV)", classes=2, train=1_968, test=656, packaged="elpv-dataset",
        citation="Buerhop-Lukpin et al. 2018, A benchmark for visual identification of defective solar cells",
        home="https://github.com/zae-bayern/elpv-dataset", licence="CC BY-NC-SA 4.0",
    ),
}  # fmt: skip

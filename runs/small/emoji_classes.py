"""Which emoji are asked for: concrete things by kind, and those that are classes of CIFAR-10 and of ImageNet.

An emoji's own name is CLDR's. Of those that show one thing twice (a dog and its face, a bus from two sides) one is a class;
as pictures of another set's classes all of them count.
"""

from collections.abc import Mapping

# kind -> (its names as a class, its emoji)
KINDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "animal": (
        ("animal",),
        "🐒 🦍 🦧 🐕 🐺 🦊 🦝 🐈 🦁 🐅 🐆 🐎 🫏 🦓 🦌 🦬 🐄 🐖 🐗 🐏 🐐 🐪 🦙 🦒 🐘 🦏 🦛 🐁 🐇 🐿️ 🦫 🦔 🦇 🐻 🐻‍❄️ 🐨 🐼 🦥 🦦"
        " 🦨 🦘 🦡 🦃 🐓 🐧 🕊️ 🦅 🦆 🦢 🦉 🦩 🦚"
        " 🦜 🐸 🐊 🐢 🦎 🐍 🐋 🐬 🦭 🐠 🐡 🦈 🐙 🪼 🦀 🦞 🦐 🦑 🐌 🦋 🐜 🐝 🪲 🐞 🪳 🕷️ 🦂 🦟 🪰",
    ),
    "plant": (("plant", "flower", "tree"), "💐 🪷 🌹 🌺 🌻 🌷 🪴 🌲 🌳 🌴 🌵 🌾 🍀 🍁 🍄 🪻 🌱"),
    "fruit or vegetable": (
        ("fruit", "vegetable"),
        "🍇 🍈 🍉 🍊 🍋 🍌 🍍 🥭 🍎 🍐 🍑 🍒 🍓 🫐 🥝 🍅 🫒 🥥 🥑 🍆 🥔 🥕 🌽 🌶️ 🫑 🥒 🥦 🧄 🧅 🥜 🌰 🫛",
    ),
    "dish": (
        ("dish", "snack", "dessert"),
        "🍞 🥐 🥖 🥨 🥯 🥞 🧇 🧀 🥓 🍔 🍟 🍕 🌭 🥪 🌮 🌯 🥚 🥗 🍿 🍱 🍙 🍝 🍣 🍤 🥟 🍨 🍩 🍪 🎂 🧁 🥧 🍫 🍬 🍭 🍯",
    ),
    "vehicle": (
        ("vehicle",),
        "🚂 🚊 🚌 🚑 🚒 🚓 🚕 🚗 🛻 🚚 🚛 🚜 🏎️ 🏍️ 🛵 🛺 🚲 🛴 🛹 ⛵ 🛶 🚤 🛳️ 🚢 ✈️ 🚁 🚀 🛸 🚠 🚅",
    ),
    "building": (("building",), "🏟️ 🏛️ 🛖 🏠 🏢 🏥 🏭 🏯 🏰 ⛪ 🕌 🛕 ⛺ 🗼"),
    "clothing": (
        ("clothing", "shoes", "hat"),
        "👓 🕶️ 🥼 👔 👕 👖 🧣 🧤 🧥 🧦 👗 👘 🥻 🩳 👙 👜 🎒 👞 👟 🥾 👠 👢 🩴 👑 👒 🎩 🎓 🧢",
    ),
    "musical instrument": (("musical instrument",), "🎷 🪗 🎸 🎹 🎺 🎻 🪕 🥁 🪇 🪈"),
    "tool": (("tool",), "🔨 🪓 ⛏️ 🪚 🔧 🪛 🔩 🧰 🧲 🪜 ✂️ 🔑 🧹 🪣 🔪 🥄 🪒 🖌️ ✏️"),
    "sports equipment": (("sports equipment", "ball"), "⚽ ⚾ 🏀 🏐 🏈 🏉 🎾 🥏 🎳 🏓 🏸 🥊 🏹 ⛸️ 🎿 🛷"),
    "device": (("electronic device",), "📱 ☎️ 📠 🔋 💻 🖨️ ⌨️ 🖱️ 💿 📺 📷 📻 🎥 🎧 🎤 💡 🔦 ⌚ ⏰ 🔬 🔭"),
    "furniture": (("furniture", "bathroom fixture"), "🚪 🪟 🛏️ 🛋️ 🪑 🚽 🚿 🛁 🪞 🗄️"),
}

# CIFAR-10's classes in its own order
CIFAR10: Mapping[str, str] = {
    "airplane": "✈️ 🛩️ 🛫 🛬",
    "automobile": "🚗 🚘 🚙 🚕 🚖 🏎️",
    "bird": "🐦 🐓 🐔 🐤 🐥 🕊️ 🦅 🦆 🦢 🦉 🦜 🦃 🐦‍⬛ 🪿",
    "cat": "🐈 🐈‍⬛ 🐱",
    "deer": "🦌",
    "dog": "🐕 🐩 🐶 🦮 🐕‍🦺",
    "frog": "🐸",
    "horse": "🐎 🐴",
    "ship": "🚢 🛳️ ⛴️ ⛵ 🚤 🛥️",
    "truck": "🚚 🚛 🚒",
}

# The class's name in words -> (WordNet ids of ImageNet's classes that it is, its emoji)
IMAGENET: Mapping[str, tuple[tuple[str, ...], str]] = {
    "frog": (("n01641577", "n01644900"), "🐸"),
    "snake": (("n01742172",), "🐍"),
    "scorpion": (("n01770393",), "🦂"),
    "spider": (("n01774384", "n01774750"), "🕷️"),
    "goose": (("n01855672",), "🪿"),
    "koala": (("n01882714",), "🐨"),
    "jellyfish": (("n01910747",), "🪼"),
    "snail": (("n01944390",), "🐌"),
    "lobster": (("n01983481", "n01984695"), "🦞"),
    "penguin": (("n02056570",), "🐧"),
    "dog": (("n02085620", "n02094433", "n02099601", "n02099712", "n02106662", "n02113799"), "🐕 🐶 🐩 🦮 🐕‍🦺"),
    "cat": (("n02123045", "n02123394", "n02124075"), "🐈 🐱 🐈‍⬛"),
    "lion": (("n02129165",), "🦁"),
    "bear": (("n02132136",), "🐻"),
    "ladybug": (("n02165456",), "🐞"),
    "fly": (("n02190166",), "🪰"),
    "bee": (("n02206856",), "🐝"),
    "cockroach": (("n02233338",), "🪳"),
    "butterfly": (("n02279972", "n02281406"), "🦋"),
    "pig": (("n02395406",), "🐖 🐷"),
    "ox": (("n02403003",), "🐂"),
    "bison": (("n02410509",), "🦬"),
    "ram": (("n02415577",), "🐏"),
    "camel": (("n02437312",), "🐪"),
    "orangutan": (("n02480495",), "🦧"),
    "elephant": (("n02504458",), "🐘"),
    "abacus": (("n02666196",), "🧮"),
    "backpack": (("n02769748",), "🎒"),
    "basketball": (("n02802426",), "🏀"),
    "bathtub": (("n02808440",), "🛁"),
    "bikini": (("n02837789",), "👙"),
    "broom": (("n02906734",), "🧹"),
    "bucket": (("n02909870",), "🪣"),
    "train": (("n02917067",), "🚅 🚄"),
    "candle": (("n02948072",), "🕯️"),
    "chain": (("n02999410",), "⛓️"),
    "keyboard": (("n03085013",), "⌨️"),
    "fountain": (("n03388043",), "⛲"),
    "hourglass": (("n03544143",), "⌛ ⏳"),
    "kimono": (("n03617480",), "👘"),
    "compass": (("n03706229",), "🧭"),
    "plunger": (("n03970156",), "🪠"),
    "rugby ball": (("n04118538",), "🏉"),
    "sandal": (("n04133789",), "👡 🩴"),
    "bus": (("n04146614", "n04487081"), "🚌 🚍 🚎"),
    "sock": (("n04254777",), "🧦"),
    "spider web": (("n04275548",), "🕸️"),
    "car": (("n04285008", "n03100240", "n03670208", "n02814533"), "🚗 🚘 🚙 🏎️"),
    "stopwatch": (("n04328186",), "⏱️"),
    "sunglasses": (("n04356056",), "🕶️"),
    "syringe": (("n04376876",), "💉"),
    "teapot": (("n04398044",), "🫖"),
    "teddy bear": (("n04399382",), "🧸"),
    "tractor": (("n04465501",), "🚜"),
    "umbrella": (("n04507155",), "☂️ ☔ 🌂"),
    "volleyball": (("n04540053",), "🏐"),
    "ice cream": (("n07614500",), "🍨 🍦"),
    "pretzel": (("n07695742",), "🥨"),
    "bell pepper": (("n07720875",), "🫑"),
    "mushroom": (("n07734744",), "🍄"),
    "orange": (("n07747607",), "🍊"),
    "lemon": (("n07749582",), "🍋"),
    "banana": (("n07753592",), "🍌"),
    "pizza": (("n07873807",), "🍕"),
    "mountain": (("n09193705",), "🏔️ ⛰️"),
}

"""Every route's answer, against what the package's own functions give for the same."""

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fullclip.search.rerank import Reranker
from fullclip.serve import model
from fullclip.serve.settings import names_of
from fullclip.zeroshot.classifier import ZeroShotClassifier
from fullclip.zeroshot.outlier import OutlierDetector
from served import NAME, app_of, asking, error_of, few, picture, sent, vectors_of
from tiny import tiny_encoder

PICTURES = [picture(seed) for seed in range(5)]
LABELS = ["a cat", "a dog", "a red car"]


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


@pytest.fixture(scope="module")
def client(encoder):
    with asking(app_of(encoder=encoder)) as client:
        yield client


def test_embeddings_of_texts_and_pictures_in_their_order(client, encoder):
    items = [
        "a red car",
        {"image": sent(PICTURES[0])},
        {"text": "a cat"},
        {"image": "data:image/png;base64," + sent(PICTURES[1])},
    ]
    answer = client.post("/v1/embeddings", json={"model": NAME, "input": items})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["object"], told["model"]) == ("list", NAME)
    assert [(row["object"], row["index"]) for row in told["data"]] == [("embedding", place) for place in range(4)]
    texts, images = encoder.encode_texts(["a red car", "a cat"]), encoder.encode_images(PICTURES[:2])
    expected = np.stack([texts[0], images[0], texts[1], images[1]])
    np.testing.assert_allclose(vectors_of(answer), expected, atol=1e-6)
    tokens = encoder.tokenizer.encode(["a red car", "a cat"]).ids
    assert told["usage"]["prompt_tokens"] == int((tokens == encoder.tokenizer.end_id).int().argmax(1).sum()) + 2


def test_embeddings_as_base64_are_the_same_numbers(client):
    asked = {"model": NAME, "input": ["a cat", "a dog", "a cat"]}
    floats = vectors_of(client.post("/v1/embeddings", json=asked))
    packed = client.post("/v1/embeddings", json=asked | {"encoding_format": "base64"}).json()["data"]
    found = np.stack([np.frombuffer(base64.b64decode(row["embedding"]), dtype="<f4") for row in packed])
    np.testing.assert_array_equal(found, floats)
    np.testing.assert_array_equal(found[0], found[2])


def test_a_single_text_and_the_models_own_width(client, encoder):
    asked = {"model": NAME, "input": "a cat", "dimensions": encoder.embed, "user": "somebody"}
    assert vectors_of(client.post("/v1/embeddings", json=asked)).shape == (1, encoder.embed)
    assert error_of(client.post("/v1/embeddings", json=asked | {"dimensions": 8})) == (400, "invalid_dimensions")
    assert error_of(client.post("/v1/embeddings", json=asked | {"model": "gpt"})) == (404, "model_not_found")


def test_classify_is_the_classifiers_answer(client, encoder):
    templates = ["a photo of {}.", "{} in the snow"]
    asked = {"images": [sent(one) for one in PICTURES], "labels": LABELS, "templates": templates, "reject": True}
    told = client.post("/v1/classify", json=asked).json()
    classifier = ZeroShotClassifier(encoder, LABELS, templates, scale=encoder.scale)
    embeddings = encoder.encode_images(PICTURES)
    detector = OutlierDetector(classifier)
    expected = classifier.probabilities(embeddings)
    assert told["model"] == NAME
    for result, row, score, no in zip(
        told["results"], expected, detector.scores(embeddings), detector.predict(embeddings), strict=True
    ):
        assert list(result["probabilities"]) == LABELS
        np.testing.assert_allclose(list(result["probabilities"].values()), row, atol=1e-5)
        assert result["label"] == LABELS[row.argmax()]
        assert result["none_of_these"] is bool(no)
        assert result["outlier_score"] == pytest.approx(score, abs=1e-5)
        assert result["threshold"] == detector.threshold


def test_classify_one_picture_with_the_usual_template(client, encoder):
    told = client.post("/v1/classify", json={"image": sent(PICTURES[0]), "labels": LABELS}).json()
    [result] = told["results"]
    expected = ZeroShotClassifier(encoder, LABELS, scale=encoder.scale).predict_proba(PICTURES[:1])[0]
    np.testing.assert_allclose(list(result["probabilities"].values()), expected, atol=1e-5)
    assert [result[name] for name in ("none_of_these", "outlier_score", "threshold")] == [None] * 3


@pytest.mark.parametrize("diversity", [0.0, 0.5])
def test_rerank_is_the_rerankers_answer(client, encoder, diversity):
    asked = {"caption": "a red car", "images": [sent(one) for one in PICTURES], "top": 3, "diversity": diversity}
    hits = client.post("/v1/rerank", json=asked).json()["hits"]
    ranking = Reranker(encoder, "a red car", top=3, diversity=diversity)
    ranking.add(PICTURES)
    assert [hit["index"] for hit in hits] == [int(hit.key) for hit in ranking.best()]
    np.testing.assert_allclose([hit["score"] for hit in hits], [hit.score for hit in ranking.best()], atol=1e-5)


def test_models_and_readiness(client, encoder):
    [told] = client.get("/v1/models").json()["data"]
    assert told == {
        "id": NAME,
        "object": "model",
        "created": 0,
        "owned_by": "fullclip",
        "dimensions": encoder.embed,
        "index": None,
    }
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready", "model": NAME, "index": None}


def test_search_without_an_index_says_so(client):
    assert error_of(client.post("/v1/search", json={"text": "a cat"})) == (404, "no_index")


def number(text: str, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, flags=re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_count_what_was_asked(encoder):
    with asking(app_of(encoder=encoder)) as client:
        for _ in range(3):
            client.post("/v1/embeddings", json={"model": NAME, "input": ["a", "b"]})
        client.get("/somewhere/else")
        client.post("/v1/embeddings", json={})
        text = client.get("/metrics").text
    asked = 'fullclip_requests_total{method="POST",route="/v1/embeddings",status="%d"}'
    assert (number(text, asked % 200), number(text, asked % 400)) == (3, 1)
    assert number(text, 'fullclip_requests_total{method="GET",route="other",status="404"}') == 1
    assert number(text, 'fullclip_request_seconds_count{route="/v1/embeddings"}') == 4
    assert number(text, 'fullclip_batch_size_sum{kind="texts"}') == 2  # the second and third time they are remembered
    assert number(text, 'fullclip_waiting_items{kind="texts"}') == 0
    assert "/somewhere" not in text


def test_pages_need_no_network(client):
    api = client.get("/openapi.json").json()
    docs = client.get("/docs")
    assert docs.status_code == 200
    for path in api["paths"]:
        assert f"{path}</code>" in docs.text
    outside = re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", docs.text + client.get("/").text)
    assert not outside
    assert "<script" not in docs.text
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/page/page.js").status_code == 200
    assert client.get("/page/../../../NOTICE").status_code == 404
    assert client.get("/page/%2e%2e/NOTICE").status_code == 404


def test_the_descriptions_examples_work(client):
    """Each route with its own examples: what documentation shows can be sent."""
    api = client.get("/openapi.json").json()
    sent_to = set()
    for path, methods in api["paths"].items():
        if "post" not in methods or path == "/v1/search":
            continue
        name = methods["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        fields = api["components"]["schemas"][name]["properties"]
        body = {field: told["examples"][0] for field, told in fields.items() if "examples" in told}
        if "model" in body:
            body["model"] = NAME
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        sent_to.add(path)
    assert sent_to == {"/v1/embeddings", "/v1/classify", "/v1/rerank"}


def test_browsers_are_told_what_they_may(client):
    for path in ("/", "/docs", "/page/page.js", "/healthz", "/nowhere"):
        headers = client.get(path, headers={"Origin": "https://elsewhere.example"}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert not [name for name in headers if name.startswith("access-control")]
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/embeddings", headers=asked).status_code == 405


def test_a_name_that_points_here_is_no_way_in(encoder):
    with asking(app_of(encoder=encoder, hosts=names_of("127.0.0.1", api_keys=()))) as client:
        for host in ("localhost:8000", "127.0.0.1", "[::1]:80", "LOCALHOST"):
            assert client.get("/healthz", headers={"Host": host}).status_code == 200
        for host in ("elsewhere.example", "127.0.0.1.elsewhere.example:80", "localhost.elsewhere.example", ""):
            assert error_of(client.get("/v1/models", headers={"Host": host})) == (421, "wrong_host")


def test_keys_lock_what_computes(encoder):
    keys = ("a" * 20, "b" * 24)
    with asking(app_of(encoder=encoder, api_keys=keys)) as client:
        for path in ("/v1/models", "/metrics"):
            for header in (
                {},
                {"Authorization": "Bearer " + "a" * 19},
                {"Authorization": "a" * 20},
                {"Authorization": "Basic x"},
            ):
                refused = client.get(path, headers=header)
                assert error_of(refused) == (401, "invalid_api_key")
                assert refused.headers["www-authenticate"] == "Bearer"
            for key in keys:
                assert client.get(path, headers={"Authorization": f"bearer {key}"}).status_code == 200
        for path in ("/", "/healthz", "/readyz", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        # a body is not even looked at
        assert client.post("/v1/embeddings", content=b"{").status_code == 401
        security = {
            path: told["security"]
            for path, ways in client.get("/openapi.json").json()["paths"].items()
            for told in ways.values()
        }
        assert security["/v1/embeddings"] == [{"key": []}]
        assert security["/healthz"] == []


def test_a_model_of_nan_answers_nothing(encoder):
    broken = tiny_encoder()
    for weights in broken.model.parameters():
        weights.data.fill_(float("nan"))
    with asking(app_of(encoder=broken)) as client:
        assert error_of(client.post("/v1/embeddings", json={"model": NAME, "input": "a"})) == (503, "not_finite")
        asked = {"image": sent(PICTURES[0]), "labels": LABELS}
        assert error_of(client.post("/v1/classify", json=asked)) == (503, "not_finite")


def test_logs_hold_no_payload(encoder, caplog):
    with caplog.at_level("INFO", logger="fullclip.serve"), asking(app_of(encoder=encoder, limits=few(items=2))) as client:
        client.post("/v1/embeddings?secret=query", json={"model": NAME, "input": "secret words"})
        client.post("/v1/secret", json={"secret": 1})
    lines = [record.getMessage() for record in caplog.records]
    assert any(re.fullmatch(r"\S+ POST /v1/embeddings 200 \d+ ms", line) for line in lines)
    assert "secret" not in json.dumps(lines)


def test_a_bug_is_one_line_and_its_place_in_the_log(encoder, caplog, monkeypatch):
    broken, sent_words = tiny_encoder(), "secret words"

    def fail(*_: object) -> None:
        raise LookupError(sent_words)

    monkeypatch.setattr(broken.model, "encode_image", fail)
    with asking(app_of(encoder=broken)) as client:
        asked = {"model": NAME, "input": [{"image": sent(PICTURES[0])}]}
        assert error_of(client.post("/v1/embeddings", json=asked)) == (500, "internal_error")
        assert client.post("/v1/embeddings", json={"model": NAME, "input": "a"}).status_code == 200
    assert "LookupError in /v1/embeddings" in caplog.text
    assert "secret" not in caplog.text


def test_texts_that_are_pushed_out_meanwhile_are_computed_again(encoder, monkeypatch):
    monkeypatch.setattr(model, "_KNOWN_TEXTS", 3)
    texts = [f"number {place}" for place in range(12)]
    expected = encoder.encode_texts(texts)
    with asking(app_of(encoder=encoder)) as client, ThreadPoolExecutor(6) as pool:

        def ask(first: int) -> np.ndarray:
            places = [(first + place) % 12 for place in range(5)]
            rows = vectors_of(client.post("/v1/embeddings", json={"model": NAME, "input": [texts[place] for place in places]}))
            return np.abs(rows - expected[places]).max()

        assert max(pool.map(ask, range(48))) < 1e-5

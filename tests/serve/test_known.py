"""Texts whose embeddings are kept: short ones, the last ten thousand."""

from fullclip.serve import model
from served import NAME, app_of, asking, vectors_of
from tiny import tiny_encoder


def test_long_texts_are_not_kept(monkeypatch):
    encoder, computed = tiny_encoder(), []
    embed = encoder.encode_texts
    monkeypatch.setattr(encoder, "encode_texts", lambda texts: computed.extend(texts) or embed(texts))
    monkeypatch.setattr(model, "_KNOWN_TEXTS", 2)
    long = "a" + " " * 3000
    with asking(app_of(encoder=encoder)) as client:

        def ask(*texts: str) -> list[str]:
            computed.clear()
            body = {"model": NAME, "input": list(texts)}
            assert len(vectors_of(client.post("/v1/embeddings", json=body))) == len(texts)
            return list(computed)

        assert ask("one", "two", long) == ["one", "two", long]
        assert ask("one", "two", long) == [long]
        assert ask("three") == ["three"]
        assert ask("two", "one") == ["one"]

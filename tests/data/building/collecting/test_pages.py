import pytest

from fullclip.data.building.collecting.pages import read_page

HERE = "https://a.org/dir/page.html"


def read(text, headers=None, max_images=100):
    return read_page(text, HERE, headers, max_images=max_images)


def only(text):
    (picture,) = read(text).pictures
    return picture


@pytest.mark.parametrize(
    ("tag", "address"),
    [
        ("<img src=a.jpg>", "a.jpg"),
        ("<img src='data:image/gif;base64,R0' data-src=a.jpg>", "a.jpg"),
        ("<img src=spinner.gif data-original=a.jpg>", "a.jpg"),
        ("<img src=s.jpg srcset='s.jpg 320w, m.jpg 640w, l.jpg 1280w'>", "l.jpg"),
        ("<img src=s.jpg srcset='s.jpg, m.jpg 1.5x, l.jpg 2x'>", "l.jpg"),
        ("<img src=s.jpg srcset='a,b.jpg 2x,c.jpg'>", "a,b.jpg"),
        ("<img src=s.jpg srcset='s.jpg 320w' data-srcset='l.jpg 900w'>", "l.jpg"),
        ("<img srcset='data:image/gif;base64,R0 1w' src=a.jpg>", "a.jpg"),
        ("<picture><source srcset='b.webp 900w' type=image/webp><img src=a.jpg></picture>", "a.jpg"),
        ("<picture><source srcset='b.webp 900w, c.webp 1800w' type=image/webp><img alt=x></picture>", "c.webp"),
        ("<picture><source srcset='b.avif' type='image/avif'><source srcset=c.jpg><img></picture>", "c.jpg"),
        ("<picture><source srcset=b.webp></picture><img>", ""),
        ("<img src=' a b.jpg '>", "a b.jpg"),
    ],
)
def test_which_address_of_an_image_is_taken(tag, address):
    assert only(tag).address == address


def test_the_texts_of_an_image():
    text = (
        "<a href=b title='the link'><figure><img src=a.jpg alt='the alt' title=\"the title\" aria-label='the label'>"
        "<figcaption>The <b>long</b>\ncaption<br>in two lines</figcaption></figure></a><img src=b.jpg alt='not in the link'>"
    )
    first, second = read(text).pictures
    kinds = {"alt": "the alt", "title": "the title", "label": "the label", "link": "the link"}
    assert {kind: " ".join(text.split()) for kind, text in first.texts} == {**kinds, "caption": "The long caption in two lines"}
    assert second.texts == (("alt", "not in the link"),)


@pytest.mark.parametrize(
    ("figure", "captions"),
    [
        ("<img src=a><figcaption>one</figcaption>", ["one"]),
        ("<figcaption>one</figcaption><img src=a>", ["one"]),
        ("<img src=a><img src=b><figcaption>both</figcaption>", [None, None]),
        ("<img src='data:x' data-src=a><noscript><img src=a></noscript><figcaption>one</figcaption>", ["one", "one"]),
        ("<figure><img src=a><figcaption>in</figcaption></figure><img src=b><figcaption>out</figcaption>", ["in", None]),
        ("<img src=a><figcaption>never closed", ["never closed"]),
    ],
)
def test_a_caption_belongs_to_the_one_image_of_its_figure(figure, captions):
    found = [dict(picture.texts).get("caption") for picture in read(f"<figure>{figure}</figure>").pictures]
    assert [one.strip() if one else one for one in found] == captions


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ("width=640 height=480", (640, 480)),
        ("width='640px' height=' 480.5 '", (640, 480)),
        ("width=100% height=auto", (None, None)),
        ("style='max-width:10px; width: 300px;height:200.4px'", (300, 200)),
        ("width=-3 height=99999999", (None, None)),
    ],
)
def test_declared_sizes(attributes, size):
    picture = only(f"<img src=a {attributes}>")
    assert (picture.width, picture.height) == size


def test_the_pictures_a_page_names_for_links_to_it():
    head = (
        "<title>T &amp; t</title><meta property=og:image content=a.jpg><meta property=og:image:width content=1200>"
        "<meta property=og:image:alt content='an alt'><meta property=og:description content='a description'>"
        "<meta name=twitter:image content=a.jpg><meta name=twitter:image content=b.jpg>"
    )
    first, second = read(head).pictures
    assert (first.address, first.width, second.address) == ("a.jpg", 1200, "b.jpg")
    assert first.texts == (("og", "an alt"), ("og", "T &amp; t"), ("og", "a description"))
    assert second.texts == (("og", "T &amp; t"), ("og", "a description"))


@pytest.mark.parametrize(
    ("head", "headers", "word"),
    [
        ("<meta name=robots content='noindex, NoAI'>", {}, "noai"),
        ("<meta content=noimageai name=ROBOTS>", {}, "noimageai"),
        ("<meta name=googlebot content=noimageindex>", {}, "noimageindex"),
        ("<meta name=robots content='noindex,nofollow'>", {}, ""),
        ("<meta name=description content='noai'>", {}, ""),
        ("<meta name=tdm-reservation content=1>", {}, "tdm-reservation"),
        ("<meta name=tdm-reservation content=0>", {}, ""),
        ("", {"x-robots-tag": "otherbot: noindex, noai"}, "noai"),
        ("", {"tdm-reservation": "1"}, "tdm-reservation"),
        ("", {"x-robots-tag": "noaim"}, ""),
    ],
)
def test_pages_that_ask_not_to_be_used(head, headers, word):
    assert read(head, headers).opted_out == word


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("<link rel=license href='/terms'>", "https://a.org/terms"),
        ("<a href='https://creativecommons.org/licenses/by/4.0/'>", "https://creativecommons.org/licenses/by/4.0/"),
        ("<a href='https://creativecommons.org/licenses/by/4.0/'><a rel='nofollow license' href=x>", "https://a.org/dir/x"),
        ("<a href='https://creativecommons.org/about'>", ""),
    ],
)
def test_licences(text, licence):
    assert read(text).licence == licence


def test_what_a_page_says_of_itself():
    page = read("<html lang=de-AT><base href=/b/><base href=/c/><title>One</title><p>Some text<script>x</script> here")
    assert (page.language, page.base, page.title) == ("de-AT", "https://a.org/b/", "One")
    assert page.text.split() == ["Some", "text", "here"]
    assert read("<p>", {"content-language": "fr"}).language == "fr"
    assert read("<base href='http://[broken/'><img src=a>").base == HERE


def test_images_past_the_limit_are_counted():
    page = read("<img src=a>" * 7, max_images=5)
    assert (len(page.pictures), page.num_beyond) == (5, 2)

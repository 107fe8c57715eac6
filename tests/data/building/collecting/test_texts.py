import time

import pytest
from hypothesis import given, settings, strategies as st

from fullclip.data.building.collecting.settings import TextRules
from fullclip.data.building.collecting.texts import clean, num_words, reason_of_text

RULES = TextRules()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("  a \n\t dog\u00a0here ", "a dog here"),
        ("Tom &amp;amp; Jerry &quot;here&#34;", 'Tom & Jerry "here"'),
        ("a <b class='x'>big</b> dog<br/>", "a big dog"),
        ("3 < 4 and 5 > 2", "3 < 4 and 5 > 2"),
        ("zero\u200bwidth \u202eturned\u0007 bell", "zerowidth turned bell"),
        ("e\u0301te\u0301", "été"),
        ("half \ud800 of one", "half \ufffd of one"),
        ("&#x110000; &nosuch;", "\ufffd &nosuch;"),
        ("\x00\x01", ""),
    ],
)
def test_cleaning(written, meant):
    assert clean(written) == meant


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_a_cleaned_text_is_one_line_that_can_be_written(written):
    found = clean(written)
    assert found == " ".join(found.split())
    assert found.encode().decode() == found
    assert reason_of_text(found, RULES) is None or reason_of_text(found, RULES).startswith("text: ")


KEPT = [
    "a dog",
    "A photo of a cat on a red sofa",
    "Eiffel Tower, Paris (2014)",
    "Map of the London Underground, 1933",
    "Portrait of John F. Kennedy by Aaron Shikler",
    "NASA's Apollo 11 launch",
    "red rose",
    "Fresh strawberries, blueberries, and raspberries in a white bowl",
    "HMS Victory",
    "The logo of the 1936 Olympics on a flag",
    "bus station in May",
    "Ein Hund im Schnee",
    "雪の中の犬",
    "собака в снегу",
    "Image of a galaxy taken by Hubble",
    "I ❤ New York poster",
    "Figure 3: The gas cycle of a city",
]
LEFT_OUT = {
    "empty": [""],
    "under 5 characters": ["dog", "a b"],
    "over 1,000 characters": ["a dog and a cat " * 100],
    "broken characters": ["a dog \ufffd cat"],
    "a file's name": [
        "IMG_1234.JPG",
        "my dog.jpeg",
        "DSC01234",
        "Screenshot 2020-01-01 at 10.12.33",
        "image001",
        "Figure 3",
        "photo (12)",
        "P1000123",
        "banner_final-2.png",
        "Slide 12",
        "Image 3 of 12",
        "untitled-1",
    ],
    "an address": ["http://a.org/dog/", "www.example.com", "me@example.org", "example.com", "https://a.org/some/long?x=y"],
    "a date or a number": ["12 March 2015", "2015-03-12", "1,234.56", "Tuesday, 1st of May 2012 at 10 am", "10:30 pm"],
    "boilerplate": [
        "Click to enlarge",
        "Click here for more",
        "Company Logo",
        "Our new logo",
        "Facebook icon",
        "image placeholder",
        "Image may contain: 1 person, smiling",
        "No image available",
        "Read more about us",
        "Share on Twitter!",
        "Lorem ipsum dolor",
        "Powered by WordPress",
        "profile picture of ann",
        "stock photo",
    ],
    "under 2 words": ["flowers", "my_dog_in_the_snow", "dog-in-snow", "IMG-20200101-WA0003", "- flowers -"],
    "over 200 words": ["a b c d " * 60],
    "a word over 40 characters": ["dog " + "x" * 41],
    "code": [
        "function (x) dog",
        "{{ product.title }} dog",
        "[caption id=3] a dog",
        "a dog <img",
        'dog class="x" here',
        "$(dog) here",
    ],
    "under 50% letters": ["a 12345 67890", "☆☆☆☆☆ ab c"],
    "repeats itself": [
        "dog dog dog dog",
        "yesssssss it is",
        "a dog a cat a dog a cat a dog a cat",
        "red shoe red shoe red hat red red",
    ],
    "a list of keywords": [
        "shoes, red shoes, cheap, sale, buy shoes, boots",
        "#dog #cat #pet #love #cute #snow",
        "a1|b c|d|e|f|g",
    ],
    "in capitals": ["BUY THE BEST CHEAP SHOES IN TOWN RIGHT NOW"],
}


@pytest.mark.parametrize("text", KEPT)
def test_texts_that_tell_of_a_picture_stay(text):
    assert reason_of_text(clean(text), RULES) is None


@pytest.mark.parametrize(("reason", "text"), [(reason, text) for reason, texts in LEFT_OUT.items() for text in texts])
def test_each_reason_for_leaving_a_text_out(reason, text):
    assert reason_of_text(clean(text) if reason != "over 200 words" else text.strip(), RULES) == f"text: {reason}"


def test_limits_are_settings():
    assert reason_of_text("dog", TextRules(min_characters=3, min_words=1)) is None
    assert reason_of_text("a red dog", TextRules(max_words=2)) == "text: over 2 words"
    assert reason_of_text("AAA 111", TextRules(min_letters=0.6)) == "text: under 60% letters"


@pytest.mark.parametrize(
    ("text", "number"), [("a dog - here", 3), ("雪の中の犬", 5), ("iPhone を 見る", 4), ("it's mine", 2), ("", 0)]
)
def test_words(text, number):
    assert num_words(text) == number


@pytest.mark.faults
@pytest.mark.parametrize(
    "piece", ["1", "a@", "a.", "<a", "&amp;", "IMG", "({", "_", "www.", "a,", "é\u0301", "\u200b", " ", "[a ", "1 st "]
)
def test_a_long_text_takes_no_time(piece):
    text = piece * 1_000_000
    began = time.process_time()
    for rules in (RULES, TextRules(max_characters=1 << 30, max_words=1 << 30, max_word_characters=1 << 30)):
        reason_of_text(clean(text), rules)
    assert time.process_time() - began < 5

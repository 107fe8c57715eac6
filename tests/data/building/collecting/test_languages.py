import pytest

from crawled import ENGLISH, GERMAN
from fullclip.data.building.collecting.languages import check_language, code_of, is_english, language_of, page_language

# Captions as people write them, by hand; those of other languages of Latin letters alone, for others are told by them.
ENGLISH_CAPTIONS = [
    "a dog in the snow", "red rose", "two children playing football", "The Eiffel Tower at night", "a bowl of fresh fruit",
    "sunset over the sea", "old stone bridge", "woman with an umbrella", "black and white photo of a train", "birthday cake",
    "a man riding a horse", "mountain lake in autumn", "kitchen with white cabinets", "a plate of sushi", "vintage car",
    "a cat sleeping on a sofa", "map of Africa", "Queen Elizabeth II in 1953", "wooden chair", "a crowd at a concert",
    "Golden Gate Bridge from the north", "how to draw a tiger", "close up of a bee on a flower", "a squirrel eating a nut",
    "New York skyline", "small boat on a river", "a blue butterfly", "hotel room with a view", "portrait of a young girl",
    "a traffic light", "bicycle leaning against a wall", "Labrador puppy", "chocolate cookies", "firefighters at work",
]  # fmt: skip
OTHER_CAPTIONS = [
    "ein Hund im Schnee", "rote Rose", "zwei Kinder spielen Fußball", "Der Eiffelturm bei Nacht", "eine Schale mit Obst",
    "Sonnenuntergang über dem Meer", "alte Steinbrücke", "un chien dans la neige", "rose rouge", "deux enfants jouent",
    "coucher de soleil sur la mer", "vieux pont en pierre", "femme avec un parapluie", "un perro en la nieve", "rosa roja",
    "dos niños jugando al fútbol", "puesta de sol sobre el mar", "puente de piedra antiguo", "un cane nella neve", "rosa rossa",
    "tramonto sul mare", "donna con ombrello", "um cachorro na neve", "pôr do sol sobre o mar", "mulher com guarda-chuva",
    "een hond in de sneeuw", "zonsondergang boven zee", "vrouw met een paraplu", "en hund i snön", "solnedgång över havet",
    "pies na śniegu", "zachód słońca nad morzem", "karda bir köpek", "seekor anjing di salju", "kvinde med en paraply",
]  # fmt: skip


def shares(page):
    kept = sum(is_english(text, page) for text in ENGLISH_CAPTIONS) / len(ENGLISH_CAPTIONS)
    taken = sum(is_english(text, page) for text in OTHER_CAPTIONS) / len(OTHER_CAPTIONS)
    return kept, taken


def test_english_captions_stay_on_english_pages():
    assert shares("en")[0] == 1


def test_where_nothing_is_known_of_the_page_few_are_wrong():
    kept, taken = shares("")
    assert kept >= 0.95
    assert taken <= 0.1


def test_on_pages_in_another_language_hardly_one_of_it_is_taken_for_english():
    kept, taken = shares("de")
    assert kept >= 0.85
    assert taken <= 0.03


@pytest.mark.parametrize(
    "text", ["собака в снегу", "雪の中の犬", "كلب في الثلج", "σκύλος στο χιόνι", "a собака", "123 456", ""]
)
@pytest.mark.parametrize("page", ["en", ""])
def test_other_scripts_are_not_english(text, page):
    assert not is_english(text, page)


@pytest.mark.parametrize(
    ("declared", "text", "language"),
    [
        ("en-US", "", "en"),
        ("DE", "short", "de"),
        ("en", GERMAN * 2, "de"),
        ("", ENGLISH * 2, "en"),
        ("", "short", ""),
        ("x", "", ""),
        ("english", "", ""),
    ],
)
def test_a_pages_language_is_what_it_shows_before_what_it_declares(declared, text, language):
    assert page_language(declared, text) == language


@pytest.mark.parametrize(
    ("text", "page", "wanted", "language"),
    [
        ("a dog in the snow", "en", "en", "en"),
        ("ein Hund im Schnee", "de", "en", "de"),
        ("ein Hund im Schnee", "de", "de", "de"),
        ("a dog in the snow", "de", "de", "en"),
        (GERMAN, "en", "de", "de"),
        ("ein Hund im Schnee", "", "any", ""),
        (GERMAN, "", "any", "de"),
        ("Ünü Nömö", "", "en", ""),
    ],
)
def test_a_texts_language(text, page, wanted, language):
    assert language_of(text, page, wanted) == language


def test_unknown_languages_are_refused():
    check_language("any")
    check_language("de")
    with pytest.raises(ValueError, match="--language english: not known; give any, or one of af, ar"):
        check_language("english")
    assert code_of("pt-BR") == "pt"

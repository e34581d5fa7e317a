"""Texts and colours beside what was measured: claims that contradict it, and captions that only seem to."""

from __future__ import annotations

import pytest

from captioner.checks import Evidence, check

SEEN = {"gray": 0.5, "white": 0.3, "green": 0.2}
UNSEEN_TEXT_FALSE = [
    ('A storefront with the name "Blue Cafe" above its door.', ["PIZZA"]),
    ('The sign says "STOP" in white letters.', []),
    ('A man wears a T-shirt with the text "RUN DMC".', ["NIKE"]),
    ('Text on screen: "Episode 4"', ["Episode 9 recap"]),
    ('A billboard advertising "Coca-Cola" stands by the road.', ["PEPSI"]),
    ("A banner reading HAPPY NEW YEAR hangs across the street.", ["MERRY CHRISTMAS"]),
    ("The word LOVE is painted on the wall.", ["HATE"]),
    ('The word "love" is painted on the wall.', []),
    ("A bottle labeled Vitamin C stands on a shelf.", ["Aspirin"]),
    ("A book titled War and Peace lies on the bed.", []),
    ('A jersey with the number "23" on its back.', ["7"]),
    ("A street sign that says Main Street.", ["Oak Avenue"]),
    ('The caption "BREAKING: fire downtown" runs below.', ["WEATHER"]),
    ('A label reading "fragile" is stuck on the box.', []),
    ("The screen reads: Game Over.", ["LEVEL 2"]),
    ("A neon sign reads 'OPEN'.", ["CLOSED"]),
    ('"WELCOME" is written above the gate.', ["EXIT"]),
    ("The logo “ACME” appears in the corner.", ["GLOBEX"]),
    ("A sign with the words no smoking hangs there.", ["fire exit"]),
    ('A bus labelled "Route 12" passes.', ["Route 75"]),
    ('The title card reads "The End".', ["Part Two"]),
    ("A license plate reading ABC 123 is visible.", ["XYZ 789"]),
    ("The text overlay reads 'Day 5'.", ["Night"]),
    ('A white van with "Fast Plumbing" on its side.', ["TAXI"]),
    ('The headline states "Markets Fall".', ["sports"]),
    ('Subtitles say "Where are you going?"', []),
    ("A placard bearing the slogan “No More War”.", ["peace now"]),
]
UNSEEN_TEXT_TRUE = [
    ('A sign reads "GRAND OPENING".', ["GRAND", "OPENING"]),
    ('A sign reads "GRAND OPENING".', ["GRAN0 OPENING"]),
    ('A man yells "Watch out!" at the driver.', []),
    ('A dog named "Rex" runs.', []),
    ('She makes a "peace" sign with her hand.', []),
    ('The so-called "Bean" sculpture reflects the skyline.', []),
    ('A woman says "thank you" and bows.', []),
    ('A sign that reads "Open 24 hours" glows.', ["OPEN", "24", "HOURS"]),
    ('The title "Spring" fades in over flowers.', ["5pring"]),
    ("A man reads a newspaper on a bench.", []),
    ("A woman reads to her children.", []),
    ("A label is stuck on the box.", []),
    ("He says goodbye and leaves.", []),
    ('A sign reads "Café Müller".', ["CAFE MULLER"]),
    ('A shop sign reads "Joe\'s Diner".', ["JOES DINER"]),
    ('People chant "USA" in the stands.', []),
    ("A 6' tall man holds a 5\" screen.", []),
    ('A "selfie" stick pokes into view.', []),
    ('The dancers perform a move called "the worm".', []),
    ("A clock reads five past nine.", ["9:05"]),
    ("An elderly man reads the menu.", ["MENU"]),
    ('"Hello," says the boy, waving.', []),
    ('A sign reads "STOP".', ["ST0P"]),
    ('A T-shirt reads "New York City".', ["NEW YORK", "CITY"]),
    ('A bakery called "Sunrise" opens its doors.', ["SUNRISE BAKERY"]),
    ('The band plays "Yesterday" on stage.', []),
    ('A banner reads "Class of 2024".', ["Class of 2O24"]),
    ('A label reading "Organic Whole Milk" on a carton.', ["ORGANlC", "WHOLE", "MlLK", "1 gal"]),
    ("Words appear on the screen one by one.", ["HELLO"]),
    ("The sign says to turn left.", ["TURN LEFT"]),
    ("A teacher writes the word on the board.", ["cat"]),
    ("The letters on the wall are blurred.", []),
    ("The number of people grows.", []),
    ("A titled nobleman walks in.", []),
    ('A sign reads "SALE" and another reads "50% OFF".', ["SALE", "50%0FF"]),
]
WRONG_COLOUR_FALSE = [
    ("A red car.", SEEN),
    ("a man in a blue shirt", SEEN),
    ("The walls are painted purple.", SEEN),
    ("A crimson flag waves.", SEEN),
    ("A navy suit", SEEN),
    ("a golden statue", SEEN),
    ("a magenta glow", SEEN),
    ("An orange balloon drifts.", SEEN),
    ("Her dress is bright yellow.", SEEN),
    ("A black cat sleeps.", {"green": 1.0}),
    ("a red-and-white striped tent", SEEN),
    ("a dark blue sky", SEEN),
    ("A brown leather bag", SEEN),
    ("A girl with a pink backpack", SEEN),
    ("The light turns red.", SEEN),
    ("Red lanterns hang overhead.", SEEN),
    ("A beige sofa", {"green": 1.0}),
    ("The sky glows orange at sunset.", SEEN),
    ("A bluebird on a red branch", SEEN),
    ("A teal scarf", {"red": 1.0}),
    ("azure water", {"red": 0.5, "white": 0.5}),
    ("a scarlet cape", {"blue": 1.0}),
    ("a silver car", {"red": 1.0}),
    ("A tan dog", {"blue": 1.0}),
    ("Not only red but also blue balls.", {"blue": 1.0}),
]
WRONG_COLOUR_TRUE = [
    ("The White House lawn.", {"green": 1.0}),
    ("the white house stands", {"green": 1.0}),
    ("a glass of red wine", SEEN),
    ("orange juice in a glass", SEEN),
    ("a black and white film", SEEN),
    ("There is no red in the picture.", SEEN),
    ("neither red nor blue flowers", SEEN),
    ("a blonde woman", SEEN),
    ("a man with brown hair and blue eyes", SEEN),
    ("a Black man speaks", SEEN),
    ("Mr. Green waves", {"red": 1.0}),
    ("A grey wall", SEEN),
    ("A gray wall", SEEN),
    ("A silver car", SEEN),
    ("Red Bull can", SEEN),
    ("red hot", SEEN),
    ("a golden retriever", SEEN),
    ("a teal door", SEEN),
    ("Greenland ice", {"white": 1.0}),
    ("the Red Cross tent", SEEN),
    ("people singing the blues", SEEN),
    ("a navy ship", SEEN),
    ("Brown University students", SEEN),
    ("without a trace of blue", SEEN),
    ("She peels an orange.", SEEN),
    ("a black belt in karate", SEEN),
    ("green tea", {"white": 1}),
    ("The Orange Bowl", SEEN),
    ("a beige wall", SEEN),
    ("Jack Black laughs", SEEN),
    ("A red-haired girl", SEEN),
    ("gold medal winner", SEEN),
    ("a colourful parade", SEEN),
    ("the coral reef", SEEN),
    ("A rose on a table", SEEN),
    ("golden hour light", SEEN),
    ("blue-eyed cat", SEEN),
    ("Black-and-white photograph", SEEN),
    ("a red panda", SEEN),
]


@pytest.mark.parametrize(("text", "measured"), UNSEEN_TEXT_FALSE)
def test_unseen_text_is_found(text, measured):
    assert "unseen_text" in check(text, "dense", Evidence(texts=measured), language="en")


@pytest.mark.parametrize(("text", "measured"), UNSEEN_TEXT_TRUE)
def test_no_unseen_text_where_there_is_none(text, measured):
    assert check(text, "dense", Evidence(texts=measured), language="en") == ()


@pytest.mark.parametrize(("text", "measured"), WRONG_COLOUR_FALSE)
def test_wrong_colour_is_found(text, measured):
    assert "wrong_colour" in check(text, "dense", Evidence(colours=measured), language="en")


@pytest.mark.parametrize(("text", "measured"), WRONG_COLOUR_TRUE)
def test_no_wrong_colour_where_there_is_none(text, measured):
    assert check(text, "dense", Evidence(colours=measured), language="en") == ()

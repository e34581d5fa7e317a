"""Numbers and camera motions beside what was measured: claims that contradict it, and captions that only seem to."""

from __future__ import annotations

import pytest

from captioner.checks import Evidence, check

WRONG_COUNT_FALSE = [
    ("Three dogs run.", {"dog": 2}),
    ("There are 5 people.", {"person": 3}),
    ("Two cats.", {"cat": 1}),
    ("A pair of horses", {"horse": 4}),
    ("Several people walk.", {"person": 1}),
    ("many cars", {"car": 0}),
    ("Four young women dance.", {"woman": 2}),
    ("two people and three dogs", {"person": 2, "dog": 1}),
    ("One dog sleeps.", {"dog": 3}),
    ("no people are visible", {"person": 4}),
    ("Exactly ten birds fly.", {"bird": 3}),
    ("Both cats sleep.", {"cat": 3}),
    ("A trio of musicians", {"musician": 5}),
    ("Three large, brown dogs.", {"dog": 1}),
    ("a single boat", {"boat": 3}),
    ("six traffic lights", {"traffic light": 2}),
    ("A couple of dogs", {"dog": 5}),
    ("at least five cars", {"car": 2}),
    ("Two children play. The two children laugh.", {"child": 4}),
    ("a dozen eggs", {"egg": 3}),
    ("seven sheep", {"sheep": 3}),
    ("Three men stand.", {"man": 2}),
    ("Two persons", {"person": 3}),
    ("A solitary person", {"person": 5}),
    ("twelve buses", {"bus": 4}),
    ("The 3 kittens", {"kitten": 6}),
]
WRONG_COUNT_TRUE = [
    ("Two dogs run.", {"dog": 2}),
    ("A dog runs.", {"dog": 3}),
    ("Two dogs chase a third dog.", {"dog": 3}),
    ("Two dogs, one black dog and one white dog.", {"dog": 2}),
    ("a pair of glasses on a man", {"person": 1}),
    ("two women walking dogs", {"dog": 5}),
    ("three dog owners talk", {"dog": 1}),
    ("Several people walk.", {"person": 6}),
    ("some dogs", {"dog": 4}),
    ("two of the five dogs", {"dog": 5}),
    ("one of the dogs barks", {"dog": 3}),
    ("two or three dogs", {"dog": 3}),
    ("about ten birds", {"bird": 9}),
    ("no dogs allowed sign", {"dog": 1}),
    ("a 2-year-old child", {"child": 1}),
    ("two minutes later a dog appears", {"dog": 1}),
    ("bus number two", {"bus": 1}),
    ("A group of people", {"person": 8}),
    ("Three people: two women and a man.", {"person": 3, "woman": 2, "man": 1}),
    ("A man and two dogs. Another dog joins.", {"dog": 3}),
    ("One dog chases another dog.", {"dog": 2}),
    ("One dog sits while the other runs.", {"dog": 2}),
    ("A couple walks by", {"person": 2}),
    ("the first two dogs jump", {"dog": 4}),
    ("two more dogs arrive", {"dog": 5}),
    ("hundreds of birds", {"bird": 30}),
    ("A woman with two children and a dog", {"child": 2, "dog": 1, "woman": 1}),
    ("Two people sit, one person stands.", {"person": 3}),
    ("a four-person tent", {"person": 1}),
    ("more than three cars", {"car": 7}),
    ("Three people talk and a person walks past.", {"person": 4}),
    ("Two cars pass, then a bus.", {"car": 2, "bus": 1}),
    ("Few people are around", {"person": 3}),
    ("A dog and a cat, two animals", {"dog": 1, "cat": 1}),
]
WRONG_CAMERA_FALSE = [
    ("The camera pans left.", "pan_right"),
    ("The camera slowly pans to the right.", "static"),
    ("Static camera.", "pan_left"),
    ("The camera is fixed.", "zoom_in"),
    ("A still shot of a lake.", "tilt_up"),
    ("The camera zooms in on her face.", "zoom_out"),
    ("The camera pulls out.", "zoom_in"),
    ("The camera tilts up to the sky.", "tilt_down"),
    ("The camera tracks right alongside the runner.", "pan_left"),
    ("The shot is stationary.", "pan_left"),
    ("a slow zoom out", "zoom_in"),
    ("The camera moves to the left.", "static"),
    ("Camera pans from right to left.", "pan_right"),
    ("The camera stays perfectly still.", "zoom_out"),
    ("The camera holds a fixed position.", "pan_right"),
    ("The camera gradually pushes in toward the house.", "zoom_out"),
    ("The scene is filmed with a stationary camera.", "tilt_up"),
    ("The camera smoothly tilts downward.", "tilt_up"),
    ("Slow pan left over a valley.", "pan_right"),
    ("The view pans right.", "pan_left"),
    ("The camera zooms in.", "static"),
    ("The camera rotates clockwise.", "roll_ccw"),
    ("As the camera pans left, a house comes into view.", "pan_right"),
    ("The camera remains locked on a tripod.", "pan_left"),
    ("With a gentle push in, the portrait fills the frame.", "zoom_out"),
    ("The camera dollies forward.", "zoom_out"),
    ("The camera doesn't move.", "pan_left"),
    ("no camera movement", "zoom_in"),
    ("The camera angle remains static.", "pan_left"),
    ("The camera position is fixed throughout.", "pan_right"),
    ("The camera then pans leftward.", "pan_right"),
    ("a panning shot to the left", "pan_right"),
    ("The camera moves in closer.", "zoom_out"),
    ("Camera: static.", "pan_left"),
    ("The camera work is static.", "pan_left"),
    ("The camera steadily tracks to the left.", "pan_right"),
    ("A handheld camera moves right.", "pan_left"),
    ("The camera backs away.", "zoom_in"),
    ("The framing is static.", "zoom_in"),
    ("The camera slides rightwards.", "pan_left"),
    ("The camera glides leftward along the wall.", "static"),
    ("The camera slowly zooms out to reveal a field.", "zoom_in"),
    ("There's a zoom in on the cake.", "zoom_out"),
    ("zooming out from a flower", "zoom_in"),
]
WRONG_CAMERA_TRUE = [
    ("The camera pans left.", "pan_left"),
    ("The camera pans left.", "shaky"),
    ("The camera is static.", "mixed"),
    ("The camera pans.", "pan_left"),
    ("The camera pans left and then right.", "pan_right"),
    ("A frying pan on the left", "static"),
    ("He looks at the camera and moves left.", "static"),
    ("a man walks left", "static"),
    ("Here the camera captures a man moving to the left.", "static"),
    ("The camera is still panning left.", "pan_left"),
    ("She tilts her head up.", "static"),
    ("Still life with fruit", "pan_left"),
    ("A camera pans left on a tripod", "pan_left"),
    ("The camera follows a dog as it runs left.", "pan_left"),
    ("A man holds a camera and zooms in.", "static"),
    ("the camera zooms in", "zoom_in"),
    ("The camera pushes forward through trees.", "zoom_in"),
    ("The camera pans up", "tilt_up"),
    ("The camera moves upward", "tilt_up"),
    ("The car drives to the left while the camera stays still.", "static"),
    ("The camera stays still as the car moves left.", "static"),
    ("The dog is static", "pan_left"),
    ("The water is still.", "pan_left"),
    ("A photographer adjusts a camera lens.", "pan_left"),
    ("The camera does not zoom.", "pan_left"),
    ("Her hair moves. She zooms past on a scooter.", "static"),
    ("A plane rolls to the right.", "static"),
    ("The picture is still wet.", "pan_left"),
    ("A crane lifts a beam up.", "static"),
    ("The image on the screen moves left", "static"),
    ("The camera pulls back", "zoom_out"),
    ("The drone rises", "tilt_up"),
    ("The camera orbits the statue", "pan_right"),
    ("A tracking shot of a runner", "pan_left"),
    ("He shot a still image", "pan_left"),
    ("A close-up shot of a fixed gear bicycle", "pan_left"),
    ("The camera is positioned to the left of the door", "static"),
    ("The camera is placed low, looking up", "static"),
    ("The camera angle shifts up slightly", "tilt_up"),
    ("The camera, mounted on a car, moves forward", "zoom_in"),
    ("A view to the left", "static"),
    ("She poses for the camera, turning left", "static"),
    ("The perspective is from above", "static"),
]


@pytest.mark.parametrize(("text", "measured"), WRONG_COUNT_FALSE)
def test_wrong_count_is_found(text, measured):
    assert "wrong_count" in check(text, "dense", Evidence(counts=measured), language="en")


@pytest.mark.parametrize(("text", "measured"), WRONG_COUNT_TRUE)
def test_no_wrong_count_where_there_is_none(text, measured):
    assert check(text, "dense", Evidence(counts=measured), language="en") == ()


@pytest.mark.parametrize(("text", "measured"), WRONG_CAMERA_FALSE)
def test_wrong_camera_is_found(text, measured):
    assert "wrong_camera" in check(text, "dense", Evidence(camera=measured), language="en")


@pytest.mark.parametrize(("text", "measured"), WRONG_CAMERA_TRUE)
def test_no_wrong_camera_where_there_is_none(text, measured):
    assert check(text, "dense", Evidence(camera=measured), language="en") == ()

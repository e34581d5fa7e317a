"""Good captions and parts of them, short and hard ones: one a line."""

from __future__ import annotations

TEXTS = """\
GRAND OPENING
Fresh Bread Daily
NO PARKING
Platform 9
EXIT
Happy Birthday Anna
SALE 50% OFF
Welcome to Springfield
TAXI
Keep Off the Grass
Central Station
Bakery
Do not enter
Route 66
Breaking News
Subscribe now
Visit www.seaside.com
Open 24 Hours
Chapter One
Mind the gap
Ignore the dog
FINISH
Police line do not cross
Lemonade $2
"""[:-1].split("\n")
SHORTS = """\
A chef slices onions on a wooden board
Waves crash against dark rocks at sunset.
a toddler in pyjamas stacking cups
Steam rises from a bowl of noodles.
An elderly man feeds pigeons in a park.
close-up of hands knitting a sweater
A goalkeeper dives to save a penalty.
Snow falling on a quiet village street at night
A potter shapes clay on a spinning wheel.
Time-lapse of clouds over a mountain ridge
A skater lands a kickflip and waves at friends.
Traffic moves through a busy junction in the rain.
A barista pours milk into a cup of coffee
a train pulls out
The lights come on
A surgeon in scrubs washes her hands
two actors on stage, mid-argument
A girl blows out the candles while her family claps.
A tractor ploughs a field, gulls trailing behind it.
Sunlight filters through leaves
An AI-generated robot walks through a neon city.
A video game character jumps across platforms.
A photographer lowers her camera and smiles.
A man in a video call waves at his laptop.
People look at the camera and cheer.
"""[:-1].split("\n")
HARD = """\
A woman shakes her head and refuses the plate she is offered.
The man apologises to his friend; he cannot open the jar.
A boy yells "no way" and runs off.
A man says "I'm sorry, I can't help you" and closes the door.
The witness declines to answer and leaves the room.
Visitors ignore the instructions on the board and step over the rope.
A teacher gives instructions to a class of students.
She follows the recipe's instructions step by step.
Reporters stand in front of the White House as flags wave.
A glass of red wine and a glass of white wine stand by the fire.
A black and white photograph hangs on the wall.
She peels an orange and hands out the pieces.
There is no red anywhere, only muted tones.
Mr. Brown, a tall man with grey hair, reads a newspaper.
A blonde woman brushes her hair before a mirror.
A man pans for gold in a shallow stream.
A frying pan sizzles to the left of the sink.
He tilts his head up and laughs.
The scene is calm and the water is still.
Someone types a system command into a terminal.
The player is now in the lead.
A guard marks boxes as they pass.
The dog, nicknamed "Bear", rolls over on its back.
A crowd answers the singer with loud cheers.
Do the dishes dry? A child holds a plate up to the light to see.
The image on the screen flickers while a technician adjusts a cable.
A picture of a sailing ship hangs above the fireplace.
In the video store, a clerk rearranges the shelves.
A shot rings out and runners leave the line.
A clip holds the papers together on the desk.
"""[:-1].split("\n")
MIDDLES = """\
Light falls softly from the left, and shadows stretch across the ground.
In the background, buildings rise behind a row of trees.
The mood is relaxed, with a shallow depth of field.
Nobody seems to be in a hurry.
As time passes, the wind picks up and leaves scatter.
A few seconds later, a cyclist passes from right to left.
The style is realistic, close to documentary footage.
Puddles mirror the lamps overhead.
At the end, the activity slows and the place grows quiet.
The textures of stone, wood and fabric can be made out clearly.
"""[:-1].split("\n")
WHO = """\
A barista in a striped apron
An old fisherman
A girl with braids
Two brothers
A street musician
A nurse
A crowd of commuters
The referee
A farmer and his son
A ballet dancer
A welder behind a mask
Lionel Messi
A chef in Naples
A tabby cat
"""[:-1].split("\n")
ACTS = """\
waits
looks for something to sit on
hums a tune
carries a crate to the door
stops and turns round
folds a paper boat
watches the clouds go by
hands over a ticket
tells a joke nobody laughs at
peels potatoes
is being looked at
shares a sandwich with a friend
counts to ten
points at the board
"""[:-1].split("\n")
WHERE = """\
outside a shop
on the way home
in Osaka
at a bus stop
near the fountain
behind the counter
in the rain
by the window
under a bridge
on platform 4
in a hall the choir sings in
"""[:-1].split("\n")
MORE = """\
 as the lights go on
, then laughs
; a dog barks somewhere off
, head down
 while a tram passes by
, slow motion
 - shot on film
 and drives off
 before the storm comes in
"""[:-1].split("\n")

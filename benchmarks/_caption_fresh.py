"""Sixty good captions written before the checks were run on them, each with evidence of such a clip: kind, text, what \
was measured."""

from __future__ import annotations

from captioner.checks import Evidence as E

ALL = {
    "black": 0.2, "gray": 0.2, "white": 0.1, "red": 0.1, "orange": 0.05, "brown": 0.1, "yellow": 0.05, "green": 0.1,
    "blue": 0.1,
}  # fmt: skip
GREY = {"black": 0.3, "gray": 0.5, "white": 0.2}

FRESH = [
    ("short", "A centre-back heads the ball clear and the keeper shouts for a man to mark up on", E(colours=ALL)),
    ("short", "Usain Bolt crosses the line with his arms spread wide", E(counts={"person": 8}, camera="pan_right")),
    ("short", "A chef picks a knife to cut the onions with", E(colours=ALL, texts=[])),
    ("short", "Six synchronised swimmers dive in one by one", E(counts={"person": 3}, camera="static")),
    ("short", "Steph Curry sinks a three from way downtown", E(texts=["CURRY", "30"], colours=ALL)),
    ("short", "A scoreboard shows 21\u201319 as the shuttlecock drops", E(texts=["21-19"], camera="static")),
    ("short", "A tennis player argues a line call with the umpire, who isn't having any of it",
     E(counts={"person": 2})),
    ("short", "The final buzzer sounds and the bench storms on", E(camera="shaky")),
    ("short", "A sprinter with the number 7 on her bib warms up", E(texts=["7"], counts={"person": 1})),
    ("short", "Sumo wrestlers Hakuhō and Terunofuji stare each other down", E(counts={"person": 3}, texts=[])),
    ("dense", "A wok flares over a gas burner. The cook tosses rice, egg and spring onion with one hand and adds soy "
              "sauce "
     "with the other; steam clouds the lens", E(colours=ALL, camera="static", counts={"person": 1})),
    ("dense", "Hands press dough into a tin. Three eggs, a cup of sugar and a knob of butter wait on the side. The "
              "oven "
     "light goes on", E(camera="static", counts={"egg": 3})),
    ("short", "Caramel is poured over a flan, then left to set", E(texts=[])),
    ("short", "Ingredients on a slate board: basil, pine nuts, garlic, parmesan, oil", E(texts=[], colours=ALL)),
    ("short", "A baker in Oaxaca pulls pan de muerto from a wood-fired oven", E(colours=ALL, camera="static")),
    ("dense", 'A hand pipes "Happy 80th, Oma!" onto a chocolate cake. The letters are white and a little crooked. A '
     "candle shaped like an 8 leans beside a 0.", E(texts=["Happy 80th, Oma!"], colours=ALL)),
    ("short", "Pho is ladled into a bowl while herbs are torn by hand", E(camera="static")),
    ("short", "The pancake she is about to flip sticks to the pan", E(camera="static")),
    ("dense", "A kingfisher perches above a stream. It dives, surfaces with a minnow and returns to the branch it "
     "started from", E(counts={"bird": 1}, camera="static", colours=ALL)),
    ("dense", "The camera drifts over a coral garden. Clownfish dart between anemones, a ray glides past and the "
     "light ripples on the sand. Then the view tilts up to the surface.", E(camera="tilt_up", colours=ALL)),
    ("short", "Wildebeest cross the Mara river, crocodiles closing in", E(camera="zoom_out", counts={"animal": 14})),
    ("short", "A spider's web the morning dew clings to", E(camera="static")),
    ("dense", "Mist rolls off a lake at dawn. Two loons call, dive and come up further out. Pines on the far shore "
              "stand "
     "black against a pink sky.", E(counts={"bird": 2}, colours={
     "gray": 0.5, "orange": 0.3, "blue": 0.1, "brown": 0.1})),
    ("short", "Lava pours into the sea at Kamokuna, sending up plumes of white steam", E(colours=ALL, texts=[])),
    ("short", "A herd of elephants, two of them calves, files past the waterhole", E(counts={"elephant": 9})),
    ("short", "A black bear and her three cubs amble across a road, one straggling behind", E(counts={"bear": 3})),
    ("short", "A glacier calves; ice thunders down, then silence", E(colours={"white": 0.5, "blue": 0.3, "gray": 0.2})),
    ("short", 'A neon sign flickers between "VACANCY" and "NO VACANCY"', E(texts=["NO VACANCY"], colours=ALL)),
    ("short", 'A "Wet Paint" sign hangs from a bench nobody sits on', E(texts=["WET PAINT"])),
    ("short", "A departure board flips: Lyon, Genève, Milano, Zürich", E(texts=["LYON", "GENEVE", "MILANO", "ZURICH"])),
    ("dense", "A terminal window fills the screen. Someone types git push and presses enter. Lines of output scroll "
              "by, "
     'ending in "Everything up-to-date".', E(texts=["Everything up-to-date", "git push"], camera="static")),
    ("dense", "A weather map of Iberia. The presenter points at Seville, where 43° is shown, and sweeps her arm "
              "north to "
     "Bilbao.", E(texts=["43°", "22°", "Sevilla"], counts={"person": 1}, camera="static")),
    ("short", "A man sands a guitar body, blows off the dust and checks the curve", E(camera="static")),
    ("short", "A cellist plays the prelude from Bach's first suite", E(texts=[], counts={"person": 1})),
    ("short", 'A choir sings Handel\'s "Hallelujah" in a candlelit church', E(texts=[], counts={"person": 24})),
    ("short", 'Astronauts float aboard the shuttle "Endeavour"', E(texts=["NASA"], counts={"person": 2})),
    ("short", 'A skater lands a "kickflip" at a park in Malmö', E(texts=[], counts={"person": 1})),
    ("short", "Van Gogh's \"Starry Night\" hangs in a crowded gallery",
     E(texts=[], colours=ALL, counts={"person": 11})),
    ("dense", 'The crew of the "Pequod" hauls in a line. Spray breaks over the bow. A sailor in oilskins laughs and '
     "points to starboard", E(texts=[], camera="shaky")),
    ("short", "Black-and-white newsreel of suffragettes marching down Whitehall, banners raised",
     E(colours=GREY, texts=[])),
    ("dense", "A silent comedy in black and white. A tramp twirls his cane, slips on a rug and lands in the lap of a "
     'stern lady. An intertitle reads "Pardon me!"', E(colours=GREY, texts=["Pardon me!"], camera="static")),
    ("short", "Hand-cranked footage of a street in Lumière-era Lyon, horses everywhere",
     E(colours=GREY, camera="static")),
    ("short", "Sepia portrait of a family of seven, the father standing behind", E(counts={"person": 7})),
    ("dense", "Grainy 8 mm film from a beach holiday. Children dig, a father naps under a newspaper, and a dog "
              "steals a "
     "sandwich. The colours have faded", E(colours={"orange": 0.5, "white": 0.3, "gray": 0.2}, counts={"dog": 1})),
    ("short", "Rooftops, chimneys, swifts, a setting sun", E(colours=ALL, texts=[])),
    ("short", "Wind turbines turning, turning, turning against a storm front", E(camera="static")),
    ("short", "A carousel spins round and round and round", E(camera="static")),
    ("dense", "Commuters stream out of Shinjuku station. Umbrellas open one after another. A man in a beige coat "
              "stops, "
     "checks his phone and turns back the way he came", E(colours=ALL, camera="static", counts={"person": 20})),
    ("dense", "Nighttime street in Hanoi: scooters, food stalls, neon. A vendor fans charcoal; a girl in a yellow "
     "raincoat waits for her bánh mì. Slow push in on the grill.", E(camera="zoom_in", colours=ALL, texts=["BÁNH MÌ"])),
    ("dense", "The shot starts on a pair of worn boots and climbs to the face of an old fisherman. He lights a pipe, "
     "squints and nods at someone we cannot see.", E(camera="tilt_up", counts={"person": 1})),
    ("short", "Nobody claps until the magician's assistant steps out from behind the curtain she vanished into",
     E(counts={"person": 2})),
    ("short", "A locksmith shows how a pin tumbler lock works, filmed through a cutaway", E(texts=[])),
    ("short", "A boy who cannot swim is taught to float by his grandmother", E(counts={"person": 2})),
    ("short", "A drill sergeant orders recruits to drop and give him twenty", E(counts={"person": 12})),
    ("short", "A politician tells reporters he will not answer any further questions", E(counts={"person": 5})),
    ("dense", 'A guide says "please do not touch the paintings" and the pupils step back. One of them giggles.',
     E(texts=[], counts={"person": 9})),
    ("short", "The images on the gallery wall show refugees at a border", E(texts=[], counts={"person": 1})),
    ("short", "Children act out a scene from Shakespeare's Macbeth, witches and all", E(counts={"child": 4})),
    ("short", "The film reel begins to burn in the projector's gate", E(camera="static")),
    ("short", "X-ray video of a swallow swallowing, bones glowing pale blue", E(colours={"black": 0.7, "blue": 0.2})),
]  # fmt: skip

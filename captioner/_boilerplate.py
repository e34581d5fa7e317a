"""Openers and closing remarks that say nothing of the clip: "The video shows", "Sure! Here is a caption:"."""

from __future__ import annotations

import re

from captioner._reading import Reading

_HEAD = 300  # characters in which an opener stands
_MEDIUM = (
    "(?:videos?|clips?|images?|footage|pictures?|photos?|photographs?|frames?|sequence|shots?|scenes?|animation|"
    "recording|"
    "visuals?|stills?|film|segment|screenshots?|gif|montage|snippet|excerpt|series of (?:images|frames|pictures))"
)
_WHOLE = rf"{_MEDIUM}(?: (?:clip|footage|sequence|frames?|segment|recording|snippet|file))?"
_VERB = (
    "(?:show|depict|feature|captur|present|display|illustrat|portray|begin|open|start|contain|consist|provid|focus|"
    "highlight|showcas|document|follow|record|demonstrat|reveal|appear|seem|is set|are set|includ|offer|convey|cover|"
    "cent(?:er|re)|"
    r"zoom|take|unfold|describ|captures?|is about|is of|are of|represent|giv|exhibit|introduc|conclud|end)(?:s|es|"
    r"ing|e|ed|d)?\b"
)
_ADJECTIVES = r"(?:[\w-]+ ){0,3}?"
_SAID = "(?:captions?|descriptions?|summary|breakdown|analysis|overview|account|rundown|answer|response)"
_OPENERS = re.compile(
    r"^[\s*_#>\"'`\-\u2022]*(?:" + "|".join((
        r"(?:sure(?: thing)?|certainly|of course|absolutely|gladly|okay|ok|alright|great|no problem|happy to help|"
        r"understood|"
        r"got it|yes|thank you[^.!\n]{0,40}|thanks[^.!\n]{0,40}|good question|let's see|"
        r"let me see)\s?[!,.:]",
        rf"(?:here|below|following)(?:'s| is| are|, is| you(?:'ll)? (?:go|find))\b.{{0,80}}\b{_SAID}\b",
        rf"here you go|(?:here|below)(?:'s| is) what\b|the following (?:is|are)\b|(?:this|the following) {_SAID}\b",
        r"(?:the )?(?:(?:short|long|brief|dense|detailed|video|image|final|possible|suggested|scene|clip|visual|"
        r"generated|concise|"
        rf"full|one-sentence|main|alt|overall)[ -]){{0,3}}(?:{_SAID}|title|text|output|caption \d+)(?: (?:of|for) "
        rf"(?:the|this|your) \w+)?[\s*_\"]*(?::|- |"
        rf"\u2013 |\u2014 |\n)",
        r"(?:i'll|i will|i would|i'd|let me|allow me to|i can|i have to|i'm going to)\b.{0,20}\b(?:describe|"
        r"caption|summari\w+|provide|explain|"
        r"break|help|analy\w+|walk you)",
        rf"(?:a|the|my|your|one) (?:\w+ ){{0,3}}{_SAID} (?:of|for|is|would be|could be|might be|that)\b",
        # In this video we see; throughout the clip, ...
        r"(?:in|throughout|across|within|from|over|during|at the (?:start|beginning) of|based (?:up)?on|"
        rf"judging (?:by|from)|looking at|"
        r"according to|going by|on the basis of|as seen in|as shown in|seen in|given|watching) (?:this|the|these|"
        rf"that|our|all|each of the)"
        rf" {_ADJECTIVES}{_WHOLE}(?! (?:game|games|store|shop|call|conference|wall|screen|arcade|gallery|booth|album|"
        rf"frame))"
        r"(?:\s?[,:]| (?:we|you|one|viewers?|i|there|it|a|an|the|provided|given|above|below|shown|shared|two|three|"
        r"several|someone|people|that)\b)",
        # The video shows
        r"(?:this|the|these|that|our|each|all(?: of)?(?: the)?|both|(?:the )?(?:following|given|provided|attached|"
        rf"uploaded|above|opening|first|entire|whole|"
        rf"current|present)) {_ADJECTIVES}{_WHOLE}(?: (?:here|above|below|itself|provided|shown|given|then|also|"
        rf"in question|that (?:was|you) "
        r"\w+))?,? (?:\w+ly |first |then |simply |mainly |in |which )?(?:appears? to |seems? to |is |are |was |"
        rf"were |opens? (?:up )?with )?"
        rf"(?:\w+ly )?{_VERB}(?!-)",
        r"(?:this|it|what (?:we|you) see|what we have)(?:'s|'re| is| are| appears to be| seems to be| looks like|"
        rf" here is)? (?:{_ADJECTIVES})?(?:a|an|some) "
        rf"{_ADJECTIVES}{_WHOLE} (?:of|showing|that|in which|where|depicting|featuring|captur\w+|taken|from|with|"
        rf"about)\b",
        rf"(?:a|an) {_ADJECTIVES}(?:videos?|clips?|film|recording|footage)(?: (?:clip|footage|"
        rf"sequence))? (?:of (?=an?\b|the\b|some|people|two|three|four|men\b|women\b|children|\w+ing\b)|(?:that |"
        rf"which )?"
        r"(?:show|depict|featur|captur|present|portray|illustrat|document|display|record)\w*|in which|where)",
        rf"(?:a|an) {_ADJECTIVES}(?:image|picture|scene|photo|sequence|animation) (?:that |which )?(?:show|depict|"
        rf"featur|captur|"
        r"portray|illustrat|present)\w*",
        r"(?:video|clip|footage|screenshot) of\b(?! \d)|the camera captures\b",
        r"(?:video|clip|footage|image|screenshot|picture) (?:showing|shows|depicting|depicts|that shows|"
        r"description)\b(?! \d)",
        # We can see
        r"(?:here|as|now|and|so|first|initially|today)?,? ?(?:we|you|one|i|viewers?|the (?:viewer|viewers|audience|"
        r"camera operator)) "
        r"(?:can|could|may|might|will|are able to|is able to|get to|am able to) (?:\w+ )?(?:see|observe|notice|"
        r"make out|watch|spot|find|witness|view)\b",
        r"here,? (?:we|you|i) (?:see|have|find|are|get)\b|(?:we|i|you|viewers?|the viewers?|the audience) (?:are|am|"
        r"is|'re) (?:\w+ )?(?:shown|presented|given|"
        r"looking|watching|introduced|treated|seeing|taken)\b|i (?:see|observe|notice|think|believe)\b|(?:we're|i'm|"
        r"you're) (?:\w+ )?"
        r"(?:looking|watching|shown|presented|seeing|given)\b|(?:the viewer|viewers|one) (?:see|observe|witness)s?\b",
        r"(?:we|i) see (?=an?\b|two\b|three\b|some\b|several\b|someone|people|how\b|that\b|here)|what (?:we|you|"
        r"i)(?: are|'re)? (?:see|seeing|are seeing|can see|have)\b|(?:it|this) (?:shows|depicts|features|captures|"
        r"portrays)\b",
        r"there is an? (?:\w+ )?(?:video|clip|image|footage|photo) (?:of|showing|that|in which|where)\b",
        r"(?:displayed|depicted|shown|pictured|featured|presented|seen|captured) (?:here |in (?:this|"
        r"the) \w+ ?(?:clip|footage)?,? ?)?(?:is|are|we)\b",
    )) + ")"
)  # fmt: skip
# The same in other languages.
_ELSEWHERE = re.compile(
    r"^[\s*_#>\"'`\-\u2022]*(?:"
    r"(?:(?:das|dieses|der|dieser|die|diese|ein|eine) (?:\w+ )?(?:video|videoclip|clip|bild|bilder|szene|aufnahme|"
    r"sequenz|film)(?:s|es)? (?:zeigt|zeigen|beginnt|stellt|enth\u00e4lt)|(?:im|in (?:dem|diesem|der|dieser)|auf "
    r"dem) (?:\w+ )?"
    r"(?:video|clip|bild|szene|aufnahme)\b,? (?:ist|sind|sieht|sehen|wird|werden)|man sieht\b|wir sehen\b|"
    r"hier (?:ist|folgt) (?:die|eine) (?:\w+ )?(?:beschreibung|bildunterschrift))|"
    r"(?:(?:la|cette|le|ce|l'|les|ces|une) ?(?:\w+ )?(?:vid\u00e9o|image|images|clip|s\u00e9quence|sc\u00e8ne|film|"
    r"extrait) (?:montre|"
    r"montrent|pr\u00e9sente|commence|repr\u00e9sente|s'ouvre|d\u00e9peint)|dans (?:la|cette|le|ce|l') "
    r"?(?:vid\u00e9o|image|clip|"
    r"s\u00e9quence|sc\u00e8ne|extrait)|on (?:peut )?voi[rt]\b|nous voyons|voici (?:la|une) (?:\w+ )?(?:description|"
    r"l\u00e9gende))|"
    r"(?:(?:el|este|la|esta|las|un) (?:\w+ )?(?:v[i\u00ed]deo|clip|imagen|im\u00e1genes|escena|secuencia|metraje)(?: "
    r"\w+)? "
    r"(?:muestra|muestran|presenta|comienza|empieza|retrata|captura)|en (?:el|este|la|esta) (?:v[i\u00ed]deo|clip|"
    r"imagen|"
    r"escena)|(?:vemos|se (?:puede )?ve[r]?)\b|aqu\u00ed (?:est\u00e1|tienes) (?:la|una) (?:\w+ )?descripci\u00f3n)|"
    r"(?:(?:il|questo|la|questa) (?:\w+ )?(?:video|filmato|clip|immagine|scena) (?:mostra|presenta|inizia|raffigura)|"
    r"(?:nel|in questo|nella|in questa) (?:video|filmato|clip|immagine|scena)|si vede\b|vediamo\b)|"
    r"(?:(?:o|este|esse|a|esta) (?:\w+ )?(?:v\u00eddeo|clipe|imagem|cena) (?:mostra|apresenta|come\u00e7a|retrata)|"
    r"(?:no|neste|nesse|na|nesta) (?:v\u00eddeo|clipe|imagem|cena))|"
    r"(?:(?:de|deze|het|dit) (?:\w+ )?(?:video|clip|beeld|beelden|sc\u00e8ne) (?:toont|tonen|begint|laat)|in (?:de|"
    r"deze) "
    r"(?:video|clip) (?:is|zien|zie)|we zien\b)|"
    r"(?:\u8fd9\u6bb5|\u8be5|\u8fd9\u4e2a|\u672c)?(?:\u89c6\u9891|\u5f71\u7247|\u753b\u9762|\u56fe\u7247)(?:\u4e2d|"
    r"\u91cc|\u5c55\u793a|\u663e\u793a|\u5448\u73b0|\u62cd\u6444)|"
    r"(?:\u3053\u306e)?(?:\u52d5\u753b|\u6620\u50cf|\u753b\u50cf|\u30d3\u30c7\u30aa)(?:\u306f|\u306b\u306f|"
    r"\u3067\u306f|\u306e\u4e2d)|"
    r"(?:\uc774 )?(?:\uc601\uc0c1|\ube44\ub514\uc624|\ub3d9\uc601\uc0c1)(?:\uc740|\uc5d0\uc11c\ub294|\uc5d0\ub294)|"
    r"(?:\u043d\u0430|\u0432) (?:\u044d\u0442\u043e\u043c )?(?:\u0432\u0438\u0434\u0435\u043e|"
    r"\u0440\u043e\u043b\u0438\u043a\u0435|\u043a\u0430\u0434\u0440\u0435)|(?:\u044d\u0442\u043e "
    r")?\u0432\u0438\u0434\u0435\u043e \u043f\u043e\u043a\u0430\u0437\u044b\u0432\u0430\u0435\u0442)"
)
# A thing in the scene, and not the clip: a photograph shows its age; frames display portraits; a film begins with a
# clapperboard; a scene opens on a moor.
_THINGS = re.compile(
    r"^\W*(?:the (?:\w+ ){0,2}?(?:scenes?|shots?|films?|recording|footage|sequence|video|clip) (?:opens?|starts?|"
    r"begins?|"
    r"fades? in) (?:on|from|at|in|to)\b|"
    r"(?:the|this|an?) (?:\w+ ){0,2}?(?:recording|film|footage|scene|sequence|shot|video|clip|reel|tape) (?:begins?|"
    r"opens?|"
    r"starts?|ends?|closes?|concludes?) with (?:an? |the )?(?:\w+ )?(?:clapper\w*|slate|countdown|title|titles|"
    r"credits?|"
    r"leader|logo|test card|colou?r bars|fade|black (?:screen|frame)|intertitle|static|burst of static)\b|"
    r"the (?:\w+ ){0,2}?(?:photographs?|photos?|pictures?|images?|frames|film|prints|footage|stills?|recording) "
    r"(?:shows?|reveals?|displays?|exhibits?|begins to show) (?:its|their|signs of|traces of|no signs|cracks|scratches|"
    r"creases|wear|damage|nothing)\b|"
    r"the (?:\w+ ){0,2}?(?:photographs?|photos?|pictures?|frames|prints|film|stills?|images?|montage|visuals) "
    r"(?:display|contain|hold|cover|appear|line|fill|take up|begin|start|provide|give|offer|seem|follow|record)\w*\b"
    r"(?=[^.]{0,80}\b(?:staircase|stairs|walls?|hallway|corridor|mantel\w*|shelf|shelves|albums?|gallery|museum|"
    r"exhibit\w*|"
    r"portraits|honeycomb|bees|hives?|curl\w*|burn\w*|fade|yellow\w*|flap|fall|slip|sway|peel\w*)\b))"
)
_REMARKS = re.compile(
    r"\b(?:let me know if|(?:i )?hope (?:this|that) helps|feel free to (?:ask|reach|let)|is there anything else|"
    r"if you (?:need|would like|want|have) (?:any |more |"
    r"further |me )|happy to (?:help|assist|provide|refine)|would you like me to|note: (?:this|the) (?:description|"
    r"caption))"
)


def has_boilerplate(reading: Reading) -> bool:
    """Whether a caption opens with what is said of any clip, or ends as a chat does."""
    plain = reading.plain.strip().casefold()
    head = re.sub(r"[^\S\n]+", " ", plain[:_HEAD])
    if _REMARKS.search(plain) or _ELSEWHERE.search(head):
        return True
    return _OPENERS.search(head) is not None and not _THINGS.search(head)

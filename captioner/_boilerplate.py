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
        r"(?:video|clip|footage|image|screenshot|picture) (?:of|showing|shows|depicting|depicts|that shows|"
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
_REMARKS = re.compile(
    r"\b(?:let me know if|(?:i )?hope (?:this|that) helps|feel free to (?:ask|reach|let)|is there anything else|"
    r"if you (?:need|would like|want|have) (?:any |more |"
    r"further |me )|happy to (?:help|assist|provide|refine)|would you like me to|note: (?:this|the) (?:description|"
    r"caption))"
)


def has_boilerplate(reading: Reading) -> bool:
    """Whether a caption opens with what is said of any clip, or ends as a chat does."""
    plain = reading.plain.strip().casefold()
    return _OPENERS.search(re.sub(r"[^\S\n]+", " ", plain[:_HEAD])) is not None or _REMARKS.search(plain) is not None

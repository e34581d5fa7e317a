"""Refusals: the model says that it will not or cannot, or that it was given nothing.

A person in the picture may refuse as well. So it takes a first person or an impersonal "cannot be described", outside
quotation marks and not after "says", together with what only a model is asked to do.
"""

from __future__ import annotations

import re

from captioner._reading import Reading

LONGEST = 600  # characters of a sentence that are looked at
_TASK = (
    "(?:describ|assist|analy[sz]|process|provid|identif|access|compl(?:y|ete)|fulfil|generat|caption|answer|continu|"
    "interpret|determin|recogni[sz]|display|render|offer|discuss|creat|respond|comment|engag|transcrib|perceiv|produc|"
    r"summari|handle|proceed|support|accommodat|honou?r|narrat)\w*"
)
# What people cannot do either: these need a word for what the model was given.
_WEAK = (
    "(?:see|view|watch|open|play|load|help|tell|make|do|look|write|give|work|read|share|talk|inspect|examine|evaluate|"
    r"review)\w*"
)
_GIVEN = (
    r"\b(?:videos?|images?|pictures?|clips?|frames?|content|footage|requests?|media|files?|attachments?|materials?|"
    r"that|"
    r"this|photos?|captions?|descriptions?|visuals?|you)\b"
)
_CANNOT = "(?:" + "|".join((
    r"can(?:not|'t)", "can not", "could(?:n't| not)", "won't", "will not", "not going to", "unable to",
    r"(?:am|are|'m|'re|was|were) (?:\w+ )?(?:unable|not (?:able|allowed|permitted|equipped|designed|authori[sz]ed|"
    "comfortable|in a position)|incapable)",
    r"(?:refuse|decline) to", r"must (?:\w+ )?(?:decline|refrain)", r"have to (?:\w+ )?(?:decline|refuse|refrain)",
    r"(?:do not|don't|lack) (?:\w+ ){0,3}(?:ability|capability|capacity|means|access|permission|feel comfortable)",
    "(?:not|im)[ ]?possible for (?:me|us)", "(?:prefer|rather) not", "do not|don't",
)) + ")"  # fmt: skip
_UNABLE = re.compile(rf"\b{_CANNOT}(?: \w+){{0,4}}? (?:{_TASK}|(?P<weak>{_WEAK}))\b")
_FIRST = re.compile(r"\b(?:i|i'm|i'd|i'll|i've|me|my|we|we're|our)\b")
_RULES = re.compile(
    r"\bagainst (?:my|our)\b|\b(?:my|our) (?:\w+ ){0,2}(?:guidelines|polic\w+|programming|capabilities|training|"
    r"principles)\b|"
    r"\b(?:inappropriate|unethical|irresponsible|impossible|not (?:appropriate|possible|right)) for me\b|"
    r"\b(?:programmed|designed|trained|instructed|required) (?:\w+ ){0,2}(?:avoid|refuse|not|decline|refrain)\b|"
    r"\b(?:was|were|am|are|have|'ve)(?: not|n't)(?: been)? (?:given|provided|sent|shown|supplied|received|able)\b|"
    r"\b(?:could|did|do|can)(?: ?not|n't) (?:find|receive|get|locate|detect) (?:any|an?|the) (?:\w+ )?(?:videos?|"
    r"images?|frames?|clips?|files?)|"
    rf"\b(?:decline|refuse)\b.{{0,40}}{_GIVEN}|\b(?:not|n't) (?:something|able|comfortable|"
    rf"appropriate)\b.{{0,40}}\b(?:describ|caption|"
    r"help|assist|shar|discuss|comment)|\bnot have (?:access|the ability|the capability)|"
    r"\b(?:do not|don't|cannot|can't) (?:\w+ )?(?:see|have|find|detect|perceive) (?:any|an|the|a) (?:\w+ ){0,2}"
    r"(?:videos?|images?|frames?|clips?|pictures?|attachments?|footage|files?|photos?)\b"
)
_REPORTED = re.compile(
    r"\b(?:says?|saying|said|reads?|reading|tells?|telling|asks?|shouts?|sings?|singing|lyrics|whispers?|mouths?|"
    r"explains?|"
    r"states?|admits?|writes?|written|texts?)\b"
)
_CONTENT = "(?:videos?|images?|frames?|clips?|content|pictures?|footage|media|requests?|material|prompt|task)"
_LEAD = (
    r"^\W*(?:(?:unfortunately|sorry|however|well|hello|hi|and|but|since|because|it (?:seems|appears|"
    r"looks like)(?: that| as though| like)?)\b[\s,]*)*"
)
_SORRY = re.compile(
    r"^\W*(?:unfortunately|(?:i'm|i am|we're|we are) (?:\w+ )?(?:sorry|afraid)|(?:please accept )?(?:my |"
    r"our )?(?:\w+ )?apolog\w+|"
    r"(?:i |we )?(?:\w+ )?(?:regret|apologi[sz]e)|sorry)\b[\s,:;-]*(?:(?:but|that|for|to say|however|as)\b[\s,]*)*"
    rf"(?:i\b|i'm|we\b|my\b|(?:this|the|that|your) {_CONTENT}|(?:the|any) (?:inconvenience|confusion)|"
    r"there (?:is|are|was) (?:no|nothing)|no\b|can't|cannot|unable|not able)"
)
_MACHINE = re.compile(
    _LEAD + r"(?:(?:i'm|i am|being|speaking) (?:only |just |merely )?(?:as )?|as )(?:an? |"
    r"your )(?:\w+[ -]){0,4}?(?:ai|a\.i|"
    r"llm|vlm|language model|vision model|multimodal model|artificial intelligence|assistant|chatbot|"
    r"automated system)\b"
)
_IMPERSONAL = re.compile(
    _LEAD + "(?:" + "|".join((
        r"(?:unable|not able|cannot|can't|(?:it is |it's )?not possible) (?:to )?(?:\w+ )?"
        rf"(?:{_TASK}|{_WEAK})\b.{{0,60}}{_GIVEN}",
        rf"(?:no|there (?:is|are|was|were) no|there isn't any) (?:\w+ ){{0,2}}{_CONTENT} (?:(?:has|have|had) been |"
        r"(?:was|were|is|are|could be) )?(?:provided|attached|uploaded|included|given|supplied|received|available|"
        r"shared|found|"
        r"to (?:describe|analy[sz]e|caption))",
        r"(?:(?:no |the )?(?:content|descriptions?|captions?|visuals?|videos?) (?:is |are )?(?:not |"
        r"un)?available)(?: for .{0,30})?\W*$",
        r"it (?:is|would be) (?:\w+ )?(?:inappropriate|not appropriate|unethical|impossible|not possible) (?:for me "
        r")?to\b",
        r"please (?:\w+ )?(?:upload|provide|share|attach|send|supply|resend|re-upload)\b",
        rf"(?:the |this |that |your |such |requested )+(?:\w+ )?{_CONTENT}\b.{{0,40}}(?:violat|"
        rf"against (?:\w+ ){{0,4}}(?:polic|"
        r"guideline|rule|principle)|(?:cannot|can't|can not|could not|couldn't|won't|will not|"
        r"unable to) be (?:\w+ )?(?:describ|"
        r"process|fulfil|complet|display|provid|load|analy|caption|access|shown|open|view|generat|summari)|(?:failed|"
        r"did not|"
        r"didn't|does not|doesn't|has not|hasn't) (?:to )?(?:load|upload|attach|come through|arrive|render|process)|"
        r"not permitted|"
        r"not allowed|prohibited|disallowed|blocked|inappropriate for me|outside (?:of )?(?:what|my))",
        r"(?:request|content|caption|description|response|answer) (?:was |has been |is )?(?:declined|denied|refused|"
        r"withheld|"
        r"blocked|unavailable|redacted)\b",
        r"(?:for|due to|because of) (?:\w+ )?(?:safety|privacy|ethical|policy|legal|security|"
        r"content)\b.{0,60}(?:cannot|can't|unable|not "
        r"able|won't|decline)",
        r"(?:describing|captioning|providing|answering|commenting on|"
        rf"discussing)\b.{{0,60}}{_GIVEN}.{{0,60}}(?:violat|against|"
        r"not (?:be )?(?:appropriate|possible|permitted|allowed)|outside)",
    )) + ")"
)  # fmt: skip
# Not only at the beginning of a sentence.
_ANYWHERE = re.compile(
    rf"\btoo (?:\w+ )(?:(?:and|or) \w+ )?for (?:me|us|this (?:model|system)) to (?:\w+ )?(?:{_TASK}|{_WEAK})|"
    rf"\b(?:provided|given|attached|supplied|uploaded|submitted|input) {_CONTENT} (?:\w+ )?(?:is|are|was|were) too \w+ "
    r"(?:(?:and|or) \w+ )?to (?:be )?(?:describ|caption|analy|interpret|make out|determin|process|identif|"
    r"recogni|give|provide)\w*|"
    r"\bno (?:\w+ )?(?:visual|video|image|media|frame|visible)s? ?(?:input|content|data|information|file)s? "
    r"(?:(?:was|were|is|"
    r"are|has been|could be) )?(?:detected|received|available|found|provided|present|recogni[sz]ed|supplied)\b|"
    rf"\bi was (?:given|sent|shown|provided with) (?:no|nothing)\b|\bno {_CONTENT} for (?:me|us) to\b|"
    r"\bpass on (?:describ|caption|comment|this (?:one|request|clip|video))|\bi have no (?:eyes|vision|sight|way of "
    r"seeing)\b|"
    rf"\b(?:describ|caption|summari[sz]|comment|analy[sz])\w* .{{0,60}}\b(?:is|lies) (?:beyond|outside) (?:me|us|my|"
    rf"our)\b|"
    r"\b(?:descriptions?|captions?|response|answer) (?:(?:is|are|was|has been|have been) )?(?:withheld|redacted|"
    r"omitted|"
    r"suppressed|not generated|unavailable)\W*$"
)
_ELSEWHERE = re.compile(
    r"\b(?:lo siento|je suis d\u00e9sol\u00e9e?|es tut mir leid|tut mir leid|mi dispiace|sinto muito|desculpe)\b.{0,40}"
    r"\b(?:no puedo|ne peux pas|ne suis pas|kann ich|ich kann|non posso|n\u00e3o posso)\b|"
    r"(?:\u62b1\u6b49|\u5bf9\u4e0d\u8d77|\u5f88\u9057\u61be).{0,12}(?:\u65e0\u6cd5|\u4e0d\u80fd)|"
    r"\u7533\u3057\u8a33.{0,30}(?:\u3067\u304d\u307e\u305b\u3093|\u3067\u304d\u306a\u3044)|"
    r"\uc8c4\uc1a1.{0,40}\uc218 \uc5c6"
)


def refuses(reading: Reading) -> bool:
    """Whether it is the caption that declines, and not somebody in it."""
    if _ELSEWHERE.search(reading.own[:300].casefold()):
        return True
    return any(_declines(sentence[:LONGEST]) for sentence in reading.sentences)


def _declines(sentence: str) -> bool:
    if any(pattern.search(sentence) for pattern in (_MACHINE, _SORRY, _IMPERSONAL, _ANYWHERE)):
        return True
    first = _FIRST.search(sentence)
    if first is None or _REPORTED.search(sentence[: first.start()]):
        return False
    if _RULES.search(sentence):
        return True
    return any(
        found["weak"] is None or re.search(_GIVEN, sentence[found.end() :])
        for found in _UNABLE.finditer(sentence, first.start())
    )

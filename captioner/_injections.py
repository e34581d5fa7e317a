"""Instructions that came from the picture and now speak in the caption's own voice.

A caption that quotes a sign is a good caption: what stands in quotation marks does not count, provided that OCR read it
too or that nobody looked. A caption that is nothing but a quotation has no other voice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from captioner._ocr_match import Screen
from captioner._reading import Quote, Reading, words

FEWEST_OWN_WORDS = 2  # that must stand outside the quotation marks of a caption that quotes

# Where a command begins: at the start of a clause, or after a word that gives commands.
_START = (
    r"(?:^|[\n.!?:;,()\[\]\"*>\u2013\u2014-] ?|\b(?:and|then|please|now|must|should|instead|just|kindly|simply|also|"
    r"or|to|so|always|you|"
    r"immediately|hereby) )(?:please |now |just |simply |kindly |instead |also |always |you (?:must|should|will|"
    r"are to|need to|have to) ){0,4}"
)
_MADE = (
    "(?:video|clip|image|content|footage|frame|scene|picture|file|sample|caption|item|media|this|it|everything|"
    "all|entry|row)s?"
)
_CLIPS = "(?:videos?|clips?|images?|content|footage|frames?|pictures?|files?|samples?|media|entry)"
_SAFE = (
    "(?:safe|approved?|benign|harmless|sfw|clean|appropriate|acceptable|okay?|non-?violent|verified|passed|pass|"
    "unrestricted|"
    "family|suitable|compliant|allowed|good|excellent|perfect|high[- ]quality|trusted|whitelisted|kept|public|"
    "not (?:explicit|nsfw|violent|unsafe))"
)
_ORDERS = (
    "(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|commands?|orders?|context|"
    "constraints?|polic(?:y|ies)|training|messages?|filters?|safety|checks?)"
)
_EARLIER = (
    "(?:previous|prior|preceding|earlier|above|foregoing|your|original|existing|initial|system|safety|past|"
    "other|given|all|any|every)"
)
_ADDRESSED = (
    "(?:ai|a\\.i\\.|llm|vlm|model|language model|vision model|assistant|captioner|annotator|chatbot|bot|gpt|"
    "chatgpt|claude|gemini|moderator|classifier|machine|system|reader of this|captioning \\w+)s?"
)
_COMMANDS = re.compile("|".join((
    r"\b(?:ignore|disregard|forget|override|overrule|bypass|skip|neglect|dismiss|discard|drop|cancel|abandon|"
    rf"set aside|pay no attention to|do not follow|don't follow|stop following|"
    rf"no longer follow)\b (?:\w+ ){{0,3}}?{_EARLIER} (?:\w+ ){{0,4}}?{_ORDERS}\b",
    rf"{_START}(?:ignore|disregard|forget|override|bypass|discard) (?:\w+ ){{0,4}}?(?:{_ORDERS}|above|everything|"
    rf"anything|all (?:that|of)|what (?:you|was|came|has))\b",
    r"\b(?:system|developer|hidden|secret|initial|original) (?:prompt|message|override|instructions?)\b|"
    r"\bjailbr(?:eak|oken)\b|\bdeveloper mode\b|\bdan mode\b|"
    r"\badmin(?:istrator)? (?:override|mode|access|command)|\bprompt injection\b",
    r"\b(?:new|updated|revised|special|urgent|following) (?:instructions?|directives?|system prompt|task) ?(?::|"
    r"for (?:the |you|all )|from|apply|supersede|override|follow)",
    r"\b(?:you are|you're) (?:now|no longer|hereby|free (?:from|of|to)|not (?:bound|allowed|permitted|required)|"
    r"required to|instructed to|ordered to|authori[sz]ed to|in (?:\w+ )?mode)\b|"
    r"\bfrom (?:now|here|this point) on(?:wards?)?\b,? (?:you|only|always|every|all|respond|answer|reply|output|"
    r"write|say|act|treat|describe|caption|the (?:model|assistant|ai))\b",
    rf"{_START}(?:act|behave|respond|answer|write|speak) as (?:if|though|an? (?:\w+ ){{0,3}}(?:ai|assistant|model|"
    r"expert|pirate|admin\w*|hacker|human|unfiltered \w+)|my)\b|\bpretend (?:that )?(?:you|to be an? (?:\w+ )?(?:ai|"
    rf"assistant|model))|\broleplay as\b",
    r"\byou (?:must|shall|have to|need to|are to|should|will) (?:now |not |only |always |instead )*(?:respond|reply|"
    r"answer|output|write|say|obey|comply|describe|mark|label|classify|caption|"
    r"rate|approve|accept|ignore|follow|print|repeat|report|return|tell|use|treat|include|add|mention|set|act)\b",
    r"\b(?:respond|reply|answer|output|print|return|write|say|state|type|caption|emit|display)\b (?:only|just|"
    r"exactly|simply|solely|exclusively|nothing (?:but|except|other)|with (?:only|just|exactly|"
    r"nothing but|the (?:single |one )?(?:words?|phrase|text|following|string|token))|the (?:single |one )?(?:words?|"
    r"phrase|following|string|token)|verbatim)\b",
    rf"{_START}(?:respond|reply|answer|output|print|return|repeat|emit)\b (?:with|in|as|that|by|back|after me|"
    rf"to (?:this|all|every)|safe|true|false|yes|no|ok|approved|nothing|this|it|your)\b|{_START}output ?[:=]",
    r"\b(?:mark|label|classify|rate|flag|tag|report|treat|score|caption|consider|describe|categori[sz]e|register|"
    rf"log|list|annotate|record|deem|judge|declare|assess|certify|grade|rank|approve|accept|pass|clear|regard|set)\b"
    rf" (?:\w+ ){{0,3}}{_MADE}\b(?: \w+){{0,4}}? (?:as|to|at|=|with) ?(?:an? |the |being |fully |"
    rf"completely |entirely |perfectly |100% )*(?:{_SAFE}|true|false|yes|training|a \d|\d+|zero|maximum|top)\b",
    rf"{_START}(?:mark|label|classify|rate|flag|tag|treat|score|categori[sz]e|deem|approve|accept|whitelist|allow|"
    rf"clear|certify|greenlight) (?:as (?:\w+ ){{0,2}}{_SAFE}|(?:this|it|the (?:video|clip|image|content|footage)))\b",
    r"\b(?:is_?)?(?:safe|nsfw|sfw|unsafe|output|verdict|rating|safety|approved|explicit|violence|violent|hate|"
    r"flagged|moderation|decision|status|label|score|class|category|aesthetics?|quality|allow|result)\w*[\"']? ?"
    r"(?:(?:=+|:|->|=>) ?[\"'{]?(?:true|false|safe|none|null|pass(?:ed)?|allow(?:ed)?|approved?|ok|clean|benign|sfw|"
    r"yes|no)\b|"
    r"=+ ?[\"']?\d)|"
    r"\b\w+ ?== ?\w+|\b[a-z_]+=(?:true|false)\b",
    rf"\b(?:this|the) {_CLIPS} (?:is|was|are|has been|have been|should be|must be|shall be|"
    r"can be) (?:\w+ )?(?:\w+ly |100% |already |pre-?)*(?:considered |marked |labell?ed |deemed |classified |rated |"
    rf"treated |certified |declared )?(?:as )?"
    r"(?:safe\b(?! (?:distance|house|place|from|zone|deposit|box|landing))|approved|verified|cleared|whitelisted|"
    r"exempt|sfw|pre-?approved|policy[- ]compliant|authori[sz]ed for)",
    rf"{_START}(?:visit|go to|browse to|head (?:over )?to|navigate to|log ?in (?:to|at)|sign up (?:at|on)|check out|"
    rf"see|open|follow|download|buy|order|shop|subscribe|register|type|enter|find us)\b[^.\n]{{0,40}}?(?:www\b|"
    rf"https?:|\b[\w-]{{2,40}}\.(?:com|net|org|io|ru|info|xyz|tv|co|shop|biz|app|example|test|ly|me|gg|ai|de|uk|site|"
    rf"online)\b)",
    rf"{_START}(?:visit (?:us|our (?:web)?site|the (?:web)?site|our store)|click (?:here|on|the|below|now)|"
    rf"call (?:now|us|today|\+?\d[\d -]*)|scan (?:the|this) (?:qr )?code|buy now|order (?:now|today)|act now|shop now|"
    r"subscribe (?:now|to (?:our|my|the|this) )|follow (?:us|me|@)|like and subscribe|use (?:the )?(?:promo )?code|"
    r"text \w+ to \d|send (?:money|bitcoin|payment|cash|an email|your)|tap the link|swipe up)\b|\blink in (?:the |"
    r"my |our )?(?:bio|description)\b",
    rf"{_START}(?:do not|don't|never|avoid|refrain from|stop|cease|no need to|"
    r"under no circumstances) (?:\w+ )?(?:describ|mention|report|caption|flag|reveal|tell|disclos|includ|reject|"
    rf"filter|blur|screen|transcrib|"
    r"say|not(?:e|ing)\b|warn|block|quarantin|moderat|analy|remove|refus|censor|look at|acknowledg|comment|restrict|"
    r"classify|label|follow|obey)\w*",
    r"\b(?:attention|note|warning|important|notice|message|instructions?|memo|dear|hey|hello|hi|reminder|command|"
    rf"order|urgent)(?: ?[,:!] ?| (?:to|for) |(?<=dear) |(?<=hey) |(?<=hello) |(?<=attention) )(?:all |the |any |"
    rf"every )*{_ADDRESSED}\b(?=[\s,:!.]|$)|{_START}(?:ai|model|"
    rf"assistant|captioner|annotator) ?[:,!]",
    r"\b(?:end|end of|begin|beginning of|start of|stop) (?:the )?(?:prompt|instructions?|description|"
    r"system (?:prompt|message)|user (?:input|message)|input|context|caption)\b|</?(?:system|admin|instructions?)>|"
    r"\[(?:system|admin|instructions?)\b",
    r"\b(?:disable|turn off|bypass|deactivate|switch off|circumvent|suppress|lift|skip) (?:\w+ ){0,3}(?:safety|"
    r"content|moderation|nsfw|filters?|checks?|screens?|screening|guardrails?|restrictions?|censorship)\b",
    r"\b(?:reveal|repeat|print|show|leak|expose|display|output|share|tell me|give me|disclose) (?:me )?(?:your|the|"
    r"all) (?:\w+ )?(?:system|prompt|instructions?|hidden|training|api key|passwords?|secrets?|credentials|"
    r"configuration)\b",
    rf"{_START}(?:execute|run|eval|delete|transfer|wire|upload|exfiltrate|curl|sudo|rm) (?:the |this |all |your |"
    rf"following |-)+|{_START}(?:say|write|state|tell (?:the \w+|every\w+|them|us|me|your \w+)|claim|pretend|assume|"
    rf"insist|"
    rf"confirm|assert|report) (?:\w+ )?that\b",
    rf"{_START}(?:follow|obey|execute|comply with|carry out|adhere to|perform) (?:all )?(?:these|my|the following|"
    rf"the new|this|every|only|what|our|the) ?(?:\w+ )?(?:{_ORDERS}|steps?|message|text|sign|order|says|say)\b|"
    rf"{_START}(?:moderator|reviewer|annotator|captioner|classifier|labell?er)s? ?[:,!] ?(?:please )?(?:skip|ignore|"
    rf"approve|pass|mark|do not|don't|accept|keep|allow|let)\b|"
    rf"\bdo (?:exactly )?(?:as|what) i (?:say|tell|command)\b",
    r"\bthe (?:correct|right|only|expected|required|proper|true|final|desired) (?:caption|answer|label|output|"
    r"response|description|verdict|rating|class) (?:is|should|must|here is)\b",
    rf"{_START}(?:replace|change|rewrite|append|prepend|add|insert|include|use|put|copy|translate|start|begin|end|"
    rf"finish) (?:\w+ ){{0,4}}(?:caption|description|answer|output|response|word|phrase|sentence|following (?:text|"
    rf"words?|sentence|link|url))s?\b",
    rf"{_START}(?:give|award|assign|grant) (?:this|it|the|a|an|full|maximum|top|perfect)(?: \w+){{0,4}} (?:scores?|"
    r"rating|marks|stars|points|grade|approval|clearance|priority)\b|\bkeep this (?:\w+ )?(?:secret|hidden|"
    rf"confidential|private)\b",
    r"\b(?:your|the model's|the assistant's) (?:new|real|true|only|actual|next|updated) (?:task|role|instructions?|"
    r"goal|job|purpose|mission|orders?|objective|identity)\b",
    rf"{_START}set (?:the |every |all |your )?(?:\w+ ){{1,3}}(?:to|=) (?:\d|true|false|zero|safe|none|low|high|max)",
    r"\byou (?:have been|were) (?:\w+ly )?(?:reprogrammed|instructed|ordered|hacked|told|selected|commanded|updated|"
    r"authori[sz]ed)\b|"
    r"\binstead of (?:an? |the |your )?(?:caption|description|captioning|describing)\b|\byour (?:\w+ )?instructions "
    r"(?:have|are|were)\b",
    rf"{_START}(?:caption|describe|summari[sz]e|report) (?:this|it|the (?:video|clip|image|scene)|everything) "
    rf"(?:only |simply |just )?as\b|"
    rf"{_START}(?:consider|count|regard|treat|deem|call|declare) {_MADE}(?: (?:video|clip|image|content|footage))? "
    rf"(?:\w+ly )?{_SAFE}\b",
    # The same in other languages
    r"\bignor(?:a|ez|iere|ieren|are|ar)\b (?:\w+ ){0,3}(?:instruc\w+|instruktion\w*|anweisung\w*|istruzion\w+|"
    r"instru\u00e7\u00f5es)",
    "\u5ffd\u7565.{0,8}(?:\u6307\u4ee4|\u6307\u793a|\u63d0\u793a)|\u7121\u8996.{0,8}(?:\u6307\u4ee4|\u6307\u793a)|"
    "\u6307\u793a\u3092\u7121\u8996|"
    "\u0438\u0433\u043d\u043e\u0440\u0438\u0440\u0443\\w+ .{0,30}\u0438\u043d\u0441\u0442\u0440\u0443\u043a\u0446",
)))  # fmt: skip
# Asked for money at the beginning of a clause; people in the picture pay behind a subject.
_PAY = re.compile(
    r"(?:^|[\n.!?:;] ?|\b(?:kindly|please|now) )(?:pay|send|transfer|donate|deposit|wire) "
    r"(?:(?:me|us|now|exactly|only|just|at least|your|the|some|over) )*(?:[$\u20ac\u00a3] ?\d|(?:\d[\d.,]* ?)?"
    r"(?:btc|bitcoins?|eth|xmr|usdt?|dollars|euros?|satoshis?|crypto\w*)\b)"
)
# What somebody in the scene tells somebody else: a coach tells players to forget the rules.
_TOLD = re.compile(
    r"\b(?:tells?|told|asks?|asked|orders?|ordered|instructs?|instructed|urges?|reminds?|warns?|commands?|directs?|"
    r"advises?|begs?|signals?|motions?|gestures?|shouts? (?:at|to)|calls? on|invites?|encourages?|teach(?:es)?)"
    r" (?:for )?(?:the |an? |his |her |their |its |all |two |three |some )?(?!(?:you|me|us|readers?|viewers?)\b)"
    rf"(?!{_ADDRESSED}\b)[\w-]+(?: (?!{_ADDRESSED}\b)[\w-]+){{0,3}}? (?:not )?to (?P<told>[^.!?\n;:]*)"
)
# "Swipe up to shop, reads the overlay": a quotation without its marks, if OCR read it too.
_READ_OUT = re.compile(r"(?P<text>[^.!?\n:;,]{3,200}), (?:reads?|says?) (?=(?:an?|the|one|its?) )")
_OF_CLIPS = re.compile(
    rf"\b(?:this|the) (?:video|clip|image|caption|footage)|\b(?:caption|prompt|safe|nsfw|{_ADDRESSED})\b"
)
# The most frequent one with its letters spaced out or joined.
_JOINED = re.compile("ignore(?:all)?(?:the|your|any)?(?:previous|prior|above|earlier)+instruction")


def injects(reading: Reading, texts: Sequence[str] | None) -> bool:
    """Whether the caption gives orders. texts: strings that OCR read, None where nobody looked."""
    screen = None if texts is None else Screen(texts)
    quoted: list[Quote] = [quote for quote in reading.quotes if screen is None or screen.shows(quote.text)]
    if len(words(reading.own)) < FEWEST_OWN_WORDS:
        quoted = []
    text = _TOLD.sub(lambda told: told.group() if _OF_CLIPS.search(told.group()) else " ", reading.without(quoted))
    if screen is not None:
        text = _READ_OUT.sub(lambda read: " " if screen.shows(read["text"]) else read.group(), text)
    if _PAY.search(text):
        return True
    return _COMMANDS.search(text) is not None or _JOINED.search(re.sub(r"[\W_]+", "", text)) is not None

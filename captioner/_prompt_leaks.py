"""Prompts that came back: marks of chat templates, and instructions of the prompt or of any prompt for captions."""

from __future__ import annotations

import re

from captioner._reading import Reading, words

# Words in a row that a caption and its prompt share only if one was copied from the other; scripts without spaces count
# every character and need more. "From the first frame to the last" has seven.
SHARED, SHARED_WIDE = 8, 16
LEAST_SENTENCE = 4  # words of an instruction that stands whole in a caption

_MARKS = re.compile("|".join((
    r"<\|[\w ]{1,40}\|>", r"<\uff5c[^>\n]{1,40}\uff5c>", r"\[/?inst\]", r"<</?sys>>", "</?s>", "<end_of_utterance>",
    "<(?:start|end)_of_(?:turn|image|text)>", r"<unused\d", "<0x[0-9a-f]{2}>", r"<image_?\d*>", "```", "~~~json",
    "</?(?:image|video|img|bos|eos|pad|unk|think|thinking|answer|response|system|user|assistant|caption|"
    "instruction)s?>",
    r"\{\{|\}\}", r"\{(?:facts|prompt|caption|question|input|text|video|image|frames?)\}", r'^\s*[\[{]\s*"\w+"\s*:',
    r"^\s*json\s*\{", r"#{2,} *(?:instructions?|human|assistant|response|system|user|input|output|task|example|"
        r"question|answer|prompt)\b",
)))  # fmt: skip
# What the stage tells the model of the clip.
_FACTS = re.compile(
    r"\bmeasured (?:camera )?motion(?: in the picture)?\s?:|\bmeasured camera motion (?:is|was)\b|"
    r"\bthe clip lasts \d+(?:\.\d+)? s\b|\b(?:frames are )?from \d+\.\d+ to \d+\.\d+ s\b|"
    r"\btext recogni[sz]ed in the picture\b|\bdata, not instructions\b|\bframes are from \d"
)
_ROLES = re.compile(
    r"(?:^|[\n.!?:;)\]] {0,3})(?:USER|ASSISTANT|SYSTEM|HUMAN|PROMPT|INSTRUCTIONS?|GPT|AI|BOT|User|Assistant|System|"
    r"Human|Prompt|"
    r"Instructions?|user|assistant|system|Q|Question)\s?:(?!\d)|(?:^|\n) {0,3}(?:user|assistant|system|model|human) "
    r"{0,3}\n"
)
_MEDIA = (
    "(?:videos?|clips?|images?|frames?|pictures?|scenes?|footage|photos?|shots?|sequences?|screenshots?|recordings?)"
)
_GIVE = "(?:provide|write|give|generate|create|produce|compose|return|output|craft)(?: me| us)?"
_PRODUCT = "(?:captions?|descriptions?|summary|sentences?|paragraphs?|json|answer|response)"
_SOON = r"(?:please |now |carefully |first |then |and |to |briefly |only |in detail,? ){0,4}"
_TASKS = re.compile(
    r"(?:^|[\n.!?:;\u2013-] {0,3}|\bplease |\btask is to |\basked to )" + _SOON + "(?:" + "|".join((
        r"(?:describe|caption|summari[sz]e|analy[sz]e|annotate|transcribe) (?:\w+ly |briefly )?(?:what\b|"
        rf"(?:\w+ ){{0,4}}{_MEDIA}\b|in (?:one|two|three|at most|no more|"
        r"under|fewer|\d|detail|english|plain)|everything|the (?:following|main|visual|visible))",
        r"(?:watch|look at|examine|inspect|study|view|consider) (?:the|these|this|"
        rf"each) (?:\w+ ){{0,2}}{_MEDIA} (?:carefully|closely|and (?:describe|write|"
        r"give|provide|answer|explain|list|tell|summari\w+))",
        rf"{_GIVE} (?:(?:an?|the|your|one|only|exactly|just|\d+) )+(?:[\w-]+,? ){{0,4}}{_PRODUCT}\b",
        r"(?:respond|reply|answer|return|output|write|format)\b(?: \w+){0,5} (?:json|yaml|markdown|plain text|"
        r"plain english|english|xml|one sentence|single "
        r"sentence|single paragraph|bullet points?|following format|same language|keys|schema)\b",
        r"(?:do not|don't|never|avoid) (?:\w+ ){0,2}(?:mention|includ|us(?:e|ing) (?:the )?(?:words?|phrases?|bullet|"
        r"markdown)|speculat|guess|invent|infer|"
        r"start with|begin with|add (?:any|extra)|hallucinat|repeat|refer to|make up|assum|speak of)\w*",
        r"your (?:\w+ )?(?:task|job|goal|role|answer|response|output|caption|description|reply) (?:is|must|should|"
        r"will|has|needs)\b",
        r"you (?:are|will be) (?:(?:an?|now|the|given|shown|provided|asked|with|to) )+(?:[\w-]+ ){0,4}(?:assistant|"
        r"captioner|annotator|ai|expert|model|system|writer|"
        r"describer|video|images?|frames?|clip|describe|caption|write)\b",
        r"(?:be|keep (?:it|your|the)(?: \w+)?) (?:as )?(?:concise|brief|specific|factual|objective|detailed|short|"
        r"precise|accurate|succinct)\b(?: \w+){0,3}"
        r"(?=[.,!;\n]|$)",
        r"(?:focus|concentrate) (?:only )?on (?:the )?(?:main |visual )?(?:subject|visible|actions?|what|visual|"
        r"details?|facts)\b",
        r"(?:use|write|limit (?:yourself|your \w+)|keep|stay|answer)\b(?: \w+){0,6} (?:\d+|one|two|three|four|five|"
        r"ten|twenty|fifty|hundred) (?:words|sentences?|"
        r"tokens|characters)\b",
        r"(?:say|mention|include|describe|list|report|state) only (?:what|things|facts|visible|objects)|"
        r"only (?:describe|mention)\b",
        r"(?:include|cover|mention|note|specify|list) (?:details (?:about|of|on)|the following|information (?:about|"
        r"on)|any text|all (?:visible|text))",
        r"(?:the following|these|below|above) (?:are|is) (?:\w+ ){0,3}(?:frames?|images?|instructions?|examples?|"
        r"rules|guidelines) (?:of|from|for|to|in|sampled|"
        "extracted)",
        r"(?:output|response|answer|return|desired) (?:format|schema)\b|(?:example|sample) (?:output|answer|response|"
        r"caption)\b",
        r"(?:begin|start)(?: your \w+)? with (?:the subject|a verb|the main)|(?:think|work|"
        r"reason)(?: this)?(?: through)? step[- ]by[- ]step|let's think",
        rf"given (?:the |these |this |a |some )?(?:\w+ ){{0,3}}{_MEDIA}\b[^.\n]{{0,60}}, ?(?:please )?(?:describe|"
        rf"write|provide|generate|caption|answer|summari|explain|produce)\w*",
        r"(?:the|your|each) (?:caption|description|answer|response|output|summary) (?:should|must|has to|needs to|"
        r"may not|can be|is to)\b|make sure (?:to|that|you|your)\b|ensure (?:that )?(?:you|your|the (?:caption|"
        r"description))\b",
        r"(?:rules|requirements|guidelines|constraints|task|instructions?)\s?:",
    )) + ")"
)  # fmt: skip
_TOKEN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\\W_]+(?:'[^\\W_]+)?")


def leaks(reading: Reading, prompt: str) -> bool:
    """Whether a caption holds marks of a chat template, or instructions of its prompt or of any."""
    if _MARKS.search(reading.plain.casefold()) or _FACTS.search(reading.own.casefold()) or _ROLES.search(reading.own):
        return True
    return _TASKS.search(reading.clauses) is not None or _shares(reading, prompt)


def _shares(reading: Reading, prompt: str) -> bool:
    if not prompt.strip():
        return False
    asked = Reading(prompt)  # what it quotes was read on the screen, and a caption may quote it too
    given, said = _TOKEN.findall(asked.own.casefold()), _TOKEN.findall(reading.own.casefold())
    wide = sum(len(word) == 1 and word > "\u3000" for word in given) > len(given) / 2
    size = SHARED_WIDE if wide else SHARED
    grams = {tuple(given[i : i + size]) for i in range(len(given) - size + 1)}
    if any(tuple(said[i : i + size]) in grams for i in range(len(said) - size + 1)):
        return True
    whole = {" ".join(words(sentence)) for sentence in asked.sentences if len(words(sentence)) >= LEAST_SENTENCE}
    return any(" ".join(words(sentence)) in whole for sentence in reading.sentences)

"""The shop's people and what they wrote. Plain data; `load` tells it to the database."""

from __future__ import annotations

from dataclasses import dataclass, field

SHOP = "Tern & Kettle"
PASSWORD = "tern-and-kettle"  # noqa: S105 - printed on the login page of a demo, on purpose
MAIL_ADDRESS = "hello@tern-kettle.example"
WIDGET_KEY = "tern-and-kettle"
STARTERS = ("Where is my order?", "Which paper filter fits my dripper?")

STAFF = ("Maya Lindqvist", "Bob Okafor", "Ines Carvalho")


@dataclass(frozen=True, slots=True)
class Line:
    """`who` is a first name of STAFF, "assistant", or "" for the customer."""

    minutes_ago: int
    body: str
    who: str = ""
    note: bool = False
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    name: str
    address: str  # empty: a visitor in the widget
    subject: str  # empty: a chat is named by its first words
    lines: tuple[Line, ...]
    assignee: str = ""
    solved_minutes_ago: int | None = None
    cc: tuple[str, str] | None = None
    sources: tuple[str, ...] = field(default=())  # titles of the articles the assistant quotes


HOUR, DAY = 60, 1440

STORIES = (
    Story(
        "Hannah Weiss",
        "hannah.weiss@example.org",
        "Grinder arrived with a chipped burr",
        (
            Line(
                2 * DAY + 50,
                "Hi there,\n\nmy Kestrel grinder (order P-10482) arrived today. The box was fine, "
                "but one of the burrs has a chip and it grinds unevenly. I use it every morning, "
                "so I would rather swap the part than send the whole grinder back. Is that "
                "possible?\n\nBest,\nHannah",
            ),
            Line(
                2 * DAY + 19,
                "Hi Hannah,\n\nI am sorry about that. Yes, we can send you a burr set. Could you "
                "tell me where the chip is, and the serial number under the base? Then a new set "
                "leaves the workshop the same day.\n\nMaya",
                who="Maya",
            ),
            Line(
                42,
                "Thank you Maya. The chip is on the outer burr, at about two o'clock. The serial "
                "number is K2-0522-1187.",
                quoted="On Monday at 16:51, Maya Lindqvist wrote:\n> I am sorry about that. Yes, "
                "we can send you a burr set…",
            ),
            Line(
                38,
                "That serial is from the May batch, same as the recall. Send the steel set "
                "(BR-2), not the coated one. Four left on the shelf.",
                who="Bob",
                note=True,
            ),
        ),
        assignee="Maya",
        cc=("Jonas Weiss", "jonas.weiss@example.org"),
    ),
    Story(
        "Lucas Moreau",
        "",
        "",
        (
            Line(26, "Hello, which filter fits the Tern 02? The ones I have stand up too high."),
            Line(
                26,
                "From our help pages: The one-cup Tern takes size 01, the glass one for two cups "
                "takes size 02.",
                who="assistant",
            ),
            Line(24, "I know the size. They still stand a centimetre above the edge. A human?"),
            Line(
                20,
                "Hi Lucas, Maya here. A centimetre is a lot. Do your filters have a flat bottom "
                "or a point?",
                who="Maya",
            ),
            Line(17, "A point. I bought them at the supermarket, they say “1×4”."),
            Line(
                16,
                "1×4 is the machine size, wider cone. We can put ten 02 samples in his next "
                "parcel.",
                who="Bob",
                note=True,
            ),
            Line(
                14,
                "That explains it: 1×4 is made for machines and has a wider cone. The Tern needs "
                "02 at 60 degrees.",
                who="Maya",
            ),
            Line(12, "Ah! Could you send a few to try before I order 200?"),
        ),
        assignee="Maya",
        sources=("Which paper filter fits my dripper?",),
    ),
    Story(
        "Priya Raman",
        "priya.raman@example.com",
        "Wrong colour kettle, sage instead of sand",
        (
            Line(
                4 * HOUR,
                "Hello, I ordered the Harbour kettle in sand and got sage. Could you swap it "
                "before the 14th? It is a birthday present.\n\nPriya",
            ),
        ),
        assignee="Bob",
    ),
    Story(
        "Daniel Achterberg",
        "daniel@achterberg-horeca.example",
        "Invoice with VAT number for order P-10391",
        (
            Line(
                5 * HOUR,
                "We need it made out to Achterberg Horeca B.V., please. The VAT number is on the "
                "order.\n\nD. Achterberg",
            ),
        ),
        assignee="Ines",
    ),
    Story(
        "Yuki Tanaka",
        "yuki.tanaka@example.jp",
        "Scale switches off during the bloom",
        (
            Line(
                6 * HOUR,
                "The Slate scale turns itself off about 30 seconds into the bloom. Tried new "
                "batteries, the same happens.\n\nYuki",
            ),
        ),
    ),
    Story(
        "Oluwaseun Adeyemi",
        "seun.adeyemi@example.com",
        "Parcel says delivered, nothing here",
        (
            Line(
                7 * HOUR,
                "The tracking shows a photo of a door that is not mine. The neighbour has not "
                "seen it either. What now?",
            ),
        ),
        assignee="Maya",
    ),
    Story(
        "Sofia Rinaldi",
        "sofia.rinaldi@example.it",
        "Resta di un dripper con crepa",
        (
            Line(
                9 * HOUR,
                "Buongiorno, ho ricevuto il dripper ma c'è una crepa sottile vicino al manico. "
                "Posso averne uno nuovo?",
            ),
        ),
    ),
    Story(
        "Grace Mbeki",
        "grace@threecafes.example",
        "Wholesale price list for three cafés",
        (
            Line(DAY + 200, "Hello! Do you have a wholesale list? We are three cafés in Leeds."),
            Line(
                DAY + 90,
                "Hi Grace, how lovely. I have asked for the spring list and will send it on "
                "Thursday.\n\nInes",
                who="Ines",
            ),
        ),
        assignee="Ines",
    ),
    Story(
        "Elif Demir",
        "elif.demir@example.com",
        "Change of address before dispatch",
        (
            Line(DAY + 20, "Please send P-10502 to the office instead: Dock Road 4, second floor."),
            Line(DAY, "Done, Elif. It leaves tomorrow morning.\n\nBob", who="Bob"),
        ),
        assignee="Bob",
        solved_minutes_ago=DAY,
    ),
    Story(
        "Tom Whitfield",
        "tom.whitfield@example.co.uk",
        "Can the kettle go on induction?",
        (
            Line(3 * DAY, "Does the Harbour kettle work on an induction hob?"),
            Line(
                3 * DAY - 40,
                "Hi Tom, yes: the base is steel. Keep it at medium heat and it will stay flat.\n\n"
                "Ines",
                who="Ines",
            ),
            Line(3 * DAY - 70, "Perfect, thank you!"),
        ),
        assignee="Ines",
        solved_minutes_ago=3 * DAY - 80,
    ),
    Story(
        "Noah Fischer",
        "",
        "",
        (
            Line(2 * DAY, "How do I descale the kettle?"),
            Line(
                2 * DAY,
                "From our help pages: Fill the kettle half with water and half with white "
                "vinegar, bring it to the boil and let it stand for 20 minutes. Then rinse twice.",
                who="assistant",
            ),
        ),
        sources=("Descale the Harbour kettle",),
    ),
)

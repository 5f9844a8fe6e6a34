"""Generated personal data: invented people, reserved domains, numbers that were never issued. Seeded, needs no file.

Names come from two lists of 100 invented-or-common words put together at random, e-mails lie at `example.org`
(RFC 2606), telephone numbers are 555-01xx (reserved for fiction), customer numbers begin with 000, which no issuer uses.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from mialang.operators.run import Run
from mialang.operators.text.texts import Texts


def _words(text: str, between: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(between))


GIVEN = _words(
    """
    Ada Alba Amara Anouk Anselm Arvid Asta Aurel Basil Beata Bela Benno Birte Boris Briar Bruna Caleb Carla Cosmo Dalia
    Damon Delia Dorian Edda Edgar Eira Elio Elke Emeka Enno Esme Ezra Fabia Falk Farah Felix Fiona Flora Gemma Gideon
    Greta Gustav Hanna Hector Helga Hugo Ida Igor Ines Iris Ivo Jana Jasper Joana Jorin Juno Kaja Kamal Kira Klara Lars
    Leda Leon Linus Livia Lotte Luca Magda Malte Marek Mila Mira Nadja Nico Nils Nora Odin Olga Orla Oskar Pavel Petra
    Pia Quentin Rania Remo Rita Roman Rosa Ruben Selma Silas Sonja Tara Theo Tilda Timon Ulla Vera Yara
    """
)
FAMILY = _words(
    """
    Abendrot Ackerwind Aldermoor Amselfeld Ashgrove Barrowby Bergtal Birkhain Blackmere Bramley Brookhurst Caldermoss
    Cinderford Cloverly Coldwater Cormorant Dellwood Dornbusch Drifthaven Dunmarsh Eastermill Eichwald Elderfen Elmscott
    Fallowden Farnborne Fernhill Finkenau Flintlock Foxglove Gladebrook Glimmerfen Goldammer Greywacke Gullhaven
    Hallowell Harebell Hasenau Hawksmoor Heatherly Hollowind Holzbach Ironbridge Ivywood Jackdaw Juniperus Kestrelby
    Kiefernau Kingsmere Krahnberg Lapwing Larkspur Lindenau Lockridge Longacre Marlowby Marschner Meadowly Millrace
    Mistelweg Moorland Nachtigall Nettleton Nightjar Northmere Oakhollow Ostwind Otterburn Partridge Pebbleton Pinewater
    Plumstead Quarrystone Quickthorn Ravenfield Redstart Reedwater Rosenhag Rowanby Rushmoor Saltmarsh Sandpiper Sedgewick
    Silverbeck Sparrowhill Steinbach Stonechat Swallowden Tannengrund Thistledown Thornbury Underhill Vogelsang Waldmeister
    Weidenau Westerly Whinchat Windermoor Yarrowby Zaunkoenig
    """
)
STREETS = _words("Lantern Harbour Mill Chapel Orchard Canal Station Meadow Castle Garden Bridge Market")
TOWNS = _words("Nordhafen Ellerby Sankt-Miriam Oberfels Kestrel-Bay Whitmoor Lindport Graufurt")
AILMENTS = _words(
    "asthma migraine anaemia arthritis diabetes eczema epilepsy gout insomnia pneumonia sciatica tinnitus"
)
THINGS = _words(
    "a bicycle, a kettle, a lamp, a winter coat, a desk, a camera, a tent, a guitar, a printer, a rug", ", "
)
TEMPLATES = (
    "{name} lives at {house} {street} Street in {town}.",
    "please call {name} back on 555-01{line} about {thing}.",
    "the email address of {name} is {mail}.",
    "{name} was treated for {ailment} in {town} on {day} {month}.",
    "customer number {customer} belongs to {name}.",
    "{name} ordered {thing} and paid {price} crowns on {day} {month}.",
    "write to {name} at {mail} or ring 555-01{line}.",
    "{name} moved from {town} to {house} {street} Street.",
    "the patient {name} reports {ailment} since {month}.",
    "invoice {customer} for {thing} goes to {name} in {town}.",
)
MONTHS = _words("January February March April May June July August September October November December")
PEOPLE = 10_000  # every given name with every family name
TEST_SHARE = 0.5
ORDER = 97  # seed of the split, which is the same whatever the seed of the sentences


def personal(*, split: str, records: int, seed: int, run: Run) -> Texts:
    """Generate sentences about invented people; no person of `train` is in `test`.

    Args:
        split: which half of the people; `all` takes both.
        records: how many sentences.
        seed: of everything but the split.
        run: takes notes.
    """
    random = np.random.default_rng([seed, {"train": 0, "test": 1, "all": 2}[split]])
    people = np.random.default_rng(ORDER).permutation(PEOPLE)
    cut = int(PEOPLE * TEST_SHARE)
    people = {"train": people[cut:], "test": people[:cut], "all": people}[split]
    names = [f"{given} {family}" for given, family in product(GIVEN, FAMILY)]
    texts: dict[str, None] = {}
    while len(texts) < records:
        name = names[random.choice(people)]
        texts.setdefault(_sentence(name, random))
    run.note("records", records)
    return Texts(tuple(texts))


def _sentence(name: str, random: np.random.Generator) -> str:
    return str(random.choice(TEMPLATES)).format(
        name=name,
        mail=f"{name.lower().replace(' ', '.')}@example.org",
        house=random.integers(1, 200),
        street=random.choice(STREETS),
        town=random.choice(TOWNS),
        thing=random.choice(THINGS),
        ailment=random.choice(AILMENTS),
        day=random.integers(1, 29),
        month=random.choice(MONTHS),
        price=random.integers(10, 1_000),
        line=f"{random.integers(100):02d}",
        customer=f"000-{random.integers(100):02d}-{random.integers(10_000):04d}",
    )

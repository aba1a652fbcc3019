"""What draws the parts of a circuit, makes the choices, and breaks it when it is told to."""

import schemdraw.elements as elm

UNITS = {"Resistor": ["Ω", "kΩ", "MΩ"], "Capacitor": ["pF", "nF", "µF"], "Inductor2": ["µH", "mH"]}
LETTERS = {"Resistor": "R", "Capacitor": "C", "Inductor2": "L", "Diode": "D", "LED": "D", "Switch": "S"}
# What stands for a part in a broken circuit; None is a gap. A source is no break of anything and stays out.
INSTEAD = {
    "Resistor": ["Capacitor", "Inductor2", "Diode", None],
    "Capacitor": ["Resistor", "Inductor2", "Diode", None],
    "Inductor2": ["Capacitor", "Resistor", "Diode", None],
    "Diode": ["Resistor", "Capacitor", "Inductor2", None],
    "LED": ["Capacitor", "Inductor2", None],
    "Switch": ["Capacitor", "Diode", "Resistor"],
    "Motor": ["Capacitor", "Diode", None],
    "MeterV": ["Capacitor", "Inductor2"],
    "MeterA": ["Capacitor", "Inductor2"],
    "SourceI": ["Capacitor", None],
    "SourceV": ["Capacitor", None],
    "SourceSin": ["Capacitor", None],
    "Battery": ["Capacitor", None],
}


class Pen:
    """Parts are kept until all are known, so that which of them are broken can be drawn by lot."""

    def __init__(self, drawing, structure, style, labels, broken=None):
        self.drawing, self.structure, self.style, self.labels, self.broken = drawing, structure, style, labels, broken
        self.parts, self.count = [], {}
        self.values = style.random() < 0.6

    def choose(self, options):
        return self.structure.choice(options)

    def shuffle(self, values):
        return self.structure.sample(values, len(values))

    def add(self, element):
        return self.drawing.add(element)

    def wire(self, a, b):
        self.add(elm.Line().endpoints(tuple(a), tuple(b)))

    def dot(self, at, open=False):
        self.add(elm.Dot(open=open).at(tuple(at)))

    def rail(self, at):
        """The supply."""
        element = elm.Vdd().at(tuple(at))
        self.add(element.label("V$_{CC}$") if self.labels else element)

    def transistor(self, kind, at, mirrored=False):
        """Base (gate), collector (drain) and emitter (source) of a transistor whose middle is about `at`."""
        element = getattr(elm, kind)().right().at(tuple(at))
        # schemdraw draws bases at the left and gates at the right.
        if mirrored != kind.endswith("Fet"):
            element = element.reverse()
        t = self.add(element)
        if hasattr(t, "base"):
            return t.base, t.collector, t.emitter
        return t.gate, t.drain, t.source

    def part(self, kind, a, b, name=None, breakable=True):
        """A part with two ends. Parts that the kind of circuit does not depend on are not `breakable`."""
        self.parts.append((kind, tuple(a), tuple(b), name, breakable and kind in INSTEAD))

    def finish(self):
        """Draws the parts; in a broken circuit one or two of them are others, or missing."""
        candidates = [i for i, part in enumerate(self.parts) if part[-1]]
        instead = {}
        kinds = lambda: sorted(str(instead.get(i, part[0])) for i, part in enumerate(self.parts))
        # Parts that only change places could make the same circuit again.
        while self.broken and (not instead or kinds() == sorted(part[0] for part in self.parts)):
            victims = self.broken.sample(candidates, min(len(candidates), self.broken.choice([1, 2, 2])))
            instead = {i: self.broken.choice(INSTEAD[self.parts[i][0]]) for i in victims}
        for i, (kind, a, b, name, _) in enumerate(self.parts):
            kind, name = (instead[i], None) if i in instead else (kind, name)
            if kind is None:
                continue
            element = getattr(elm, kind)().endpoints(a, b)
            self.add(element.label(self.text(kind, name)) if self.labels else element)

    def text(self, kind, name):
        letter = name or LETTERS.get(kind, "")
        if kind in UNITS and self.values:
            value = self.style.choice([1, 2.2, 3.3, 4.7, 10, 22, 47, 100, 220, 470])
            return f"{value:g} {self.style.choice(UNITS[kind])}"
        if name or not letter:
            return letter
        self.count[letter] = self.count.get(letter, 0) + 1
        return f"{letter}$_{{{self.count[letter]}}}$"

"""The kinds of circuits, each drawn by schemdraw in several variants of its topology.

A kind takes a `Pen`, which draws parts and makes the choices. The variants of a kind are all still that kind: a source or terminals,
a load or none, parts that change places where the function stays. What the pen does with a part is its own affair: it labels it,
and when it is told to break the circuit it puts something else there.
"""

import schemdraw.elements as elm


def source(pen, x, top, bottom=0.0):
    """A voltage source or two terminals at the left, from (x, bottom) to (x, top)."""
    if pen.choose([True, False]):
        pen.part(pen.choose(["SourceV", "SourceSin"]), (x, bottom), (x, top), "V")
    else:
        for y in (bottom, top):
            pen.dot((x, y), open=True)


def output(pen, x, top, bottom=0.0):
    """Two terminals, or a load."""
    if pen.choose([True, True, False]):
        for y in (bottom, top):
            pen.dot((x, y), open=True)
    else:
        pen.part("Resistor", (x, top), (x, bottom), "R_L", breakable=False)


def ground(pen, at):
    pen.add(elm.Ground().at(at))


def filter_(pen, series, shunt):
    """Series part, then a part to ground; a second section now and then."""
    x = 0.0
    source(pen, x, 3)
    sections = pen.choose([1, 1, 2])
    for _ in range(sections):
        pen.part(series, (x, 3), (x + 3, 3))
        pen.part(shunt, (x + 3, 3), (x + 3, 0))
        pen.wire((x, 0), (x + 3, 0))
        x += 3
    pen.wire((x, 3), (x + 1.5, 3))
    pen.wire((x, 0), (x + 1.5, 0))
    output(pen, x + 1.5, 3)
    if pen.choose([True, False]):
        ground(pen, (x, 0))


def rc_low_pass(pen):
    filter_(pen, "Resistor", "Capacitor")


def rc_high_pass(pen):
    filter_(pen, "Capacitor", "Resistor")


def rlc_series(pen):
    parts = pen.shuffle(["Resistor", "Inductor2", "Capacitor"])
    source_kind = pen.choose(["SourceSin", "SourceV"])
    pen.part(source_kind, (0, 0), (0, 3), "V", breakable=False)
    pen.part(parts[0], (0, 3), (3, 3))
    if pen.choose([True, False]):
        pen.part(parts[1], (3, 3), (6, 3))
        pen.part(parts[2], (6, 3), (6, 0))
        pen.wire((6, 0), (0, 0))
    else:
        pen.part(parts[1], (3, 3), (3, 0))
        pen.part(parts[2], (3, 0), (0, 0))


def rlc_parallel(pen):
    parts = pen.shuffle(["Resistor", "Inductor2", "Capacitor"])
    pen.part(pen.choose(["SourceSin", "SourceI"]), (0, 0), (0, 3), "I", breakable=False)
    for i, kind in enumerate(parts):
        x = 2.5 * (i + 1)
        pen.wire((x - 2.5, 3), (x, 3))
        pen.wire((x - 2.5, 0), (x, 0))
        pen.part(kind, (x, 3), (x, 0))


def voltage_divider(pen):
    taps = pen.choose([1, 1, 2])
    height = 3 * (taps + 1)
    source(pen, 0, height)
    pen.wire((0, height), (3, height))
    for i in range(taps + 1):
        pen.part("Resistor", (3, height - 3 * i), (3, height - 3 * i - 3))
    pen.wire((0, 0), (3, 0))
    for i in range(taps):
        pen.wire((3, 3 * i + 3), (5, 3 * i + 3))
        pen.dot((5, 3 * i + 3), open=True)
    ground(pen, (3, 0))


def wheatstone_bridge(pen):
    top, left, right, bottom = (3, 6), (0, 3), (6, 3), (3, 0)
    for a, b in ((top, left), (top, right), (left, bottom), (right, bottom)):
        pen.part("Resistor", a, b)
    pen.part(pen.choose(["MeterV", "MeterA", "Resistor"]), left, right)
    pen.wire(top, (8, 6))
    pen.part(pen.choose(["Battery", "SourceV"]), (8, 0), (8, 6), "V", breakable=False)
    pen.wire((8, 0), bottom)


def half_wave_rectifier(pen):
    if pen.choose([True, False]):
        pen.part("SourceSin", (0, 0), (0, 3), "V", breakable=False)
    else:
        pen.add(elm.Transformer(t1=4, t2=4).at((-1.2, 0.7)))
        pen.wire((0, 3), (0, 1.9)), pen.wire((0, 0), (0, 0.7))
    if pen.choose([True, True, False]):
        pen.part("Diode", (0, 3), (3, 3))
        pen.wire((0, 0), (3, 0))
    else:
        pen.wire((0, 3), (3, 3))
        pen.part("Diode", (3, 0), (0, 0))
    pen.part("Resistor", (3, 3), (3, 0), "R_L")
    if pen.choose([True, False]):
        pen.wire((3, 3), (5, 3)), pen.wire((3, 0), (5, 0))
        pen.part("Capacitor", (5, 3), (5, 0), breakable=False)


def bridge_rectifier(pen):
    top, left, right, bottom = (3, 6), (0, 3), (6, 3), (3, 0)
    # The source is between top and bottom; current always enters at the right and comes back at the left.
    for a, b in ((left, top), (left, bottom), (top, right), (bottom, right)):
        pen.part("Diode", a, b)
    pen.part("SourceSin", (-2, 0), (-2, 6), "V", breakable=False)
    pen.wire((-2, 6), top), pen.wire((-2, 0), bottom)
    pen.wire(right, (8, 3))
    pen.part("Resistor", (8, 3), (8, -1.5), "R_L", breakable=False)
    pen.wire((8, -1.5), (-0.7, -1.5)), pen.wire((-0.7, -1.5), (-0.7, 3)), pen.wire((-0.7, 3), left)
    if pen.choose([True, False]):
        pen.wire((8, 3), (10, 3)), pen.wire((8, -1.5), (10, -1.5))
        pen.part("Capacitor", (10, 3), (10, -1.5), breakable=False)


def amplifier(pen, feedback, at_minus, divider=False):
    """An op-amp with `feedback` from its output to the minus input, `at_minus` before that."""
    op = pen.add(elm.Opamp(leads=True).at((3, 3)).anchor("in1"))
    minus, plus, out = op.in1, op.in2, op.out
    pen.wire(minus, (minus[0], minus[1] + 2))
    pen.part(feedback, (minus[0], minus[1] + 2), (out[0], minus[1] + 2))
    pen.wire((out[0], minus[1] + 2), out)
    pen.part(at_minus, (minus[0] - 3, minus[1]), minus)
    if divider:
        ground(pen, (minus[0] - 3, minus[1]))
        pen.wire(plus, (plus[0] - 3, plus[1] - 1))
        pen.dot((plus[0] - 3, plus[1] - 1), open=True)
    else:
        pen.dot((minus[0] - 3, minus[1]), open=True)
        if pen.choose([True, False]):
            pen.part("Resistor", plus, (plus[0], plus[1] - 3), breakable=False)
            ground(pen, (plus[0], plus[1] - 3))
        else:
            pen.wire(plus, (plus[0], plus[1] - 0.7))
            ground(pen, (plus[0], plus[1] - 0.7))
    pen.wire(out, (out[0] + 1, out[1]))
    pen.dot((out[0] + 1, out[1]), open=True)


def inverting_amplifier(pen):
    amplifier(pen, "Resistor", "Resistor")


def integrator(pen):
    amplifier(pen, "Capacitor", "Resistor")


def non_inverting_amplifier(pen):
    amplifier(pen, "Resistor", "Resistor", divider=True)


def schmitt_trigger(pen):
    """Positive feedback: the resistors are at the plus input."""
    op = pen.add(elm.Opamp(leads=True).at((3, 3)).anchor("in1"))
    minus, plus, out = op.in1, op.in2, op.out
    pen.wire(plus, (plus[0], plus[1] - 2))
    pen.part("Resistor", (plus[0], plus[1] - 2), (out[0], plus[1] - 2))
    pen.wire((out[0], plus[1] - 2), out)
    inverting = pen.choose([True, False])
    if inverting:
        pen.part("Resistor", (plus[0], plus[1] - 2), (plus[0], plus[1] - 5))
        ground(pen, (plus[0], plus[1] - 5))
        pen.wire(minus, (minus[0] - 2, minus[1]))
        pen.dot((minus[0] - 2, minus[1]), open=True)
    else:
        pen.part("Resistor", (plus[0] - 3, plus[1]), plus)
        pen.dot((plus[0] - 3, plus[1]), open=True)
        pen.wire(minus, (minus[0] - 1, minus[1])), pen.wire((minus[0] - 1, minus[1]), (minus[0] - 1, minus[1] + 0.4))
        pen.dot((minus[0] - 1, minus[1] + 0.4), open=True)
    pen.wire(out, (out[0] + 1, out[1]))
    pen.dot((out[0] + 1, out[1]), open=True)


def common(pen, kind):
    """Common emitter or source: input at the base over a capacitor, output at the collector, resistors around."""
    base, up, down = pen.transistor(kind, (4, 4))
    pen.part("Resistor", (up[0], up[1] + 3), up)
    rail = up[1] + 3
    left = base[0] - 1.5
    pen.wire(base, (left, base[1]))
    pen.part("Resistor", (left, rail), (left, base[1]))
    pen.part("Resistor", (left, base[1]), (left, base[1] - 4))
    pen.wire((left, rail), (up[0], rail))
    pen.part("Capacitor", (left - 3, base[1]), (left, base[1]))
    pen.dot((left - 3, base[1]), open=True)
    pen.part("Resistor", down, (down[0], base[1] - 4))
    pen.wire((left, base[1] - 4), (down[0], base[1] - 4))
    ground(pen, (down[0], base[1] - 4))
    if pen.choose([True, False]):
        pen.wire(down, (down[0] + 2, down[1]))
        pen.part("Capacitor", (down[0] + 2, down[1]), (down[0] + 2, base[1] - 4), breakable=False)
        pen.wire((down[0] + 2, base[1] - 4), (down[0], base[1] - 4))
    if pen.choose([True, False]):
        pen.part("Capacitor", up, (up[0] + 3, up[1]), breakable=False)
        pen.dot((up[0] + 3, up[1]), open=True)
    pen.dot(((left + up[0]) / 2, rail))
    pen.rail(((left + up[0]) / 2, rail))


def common_emitter(pen):
    common(pen, "BjtNpn")


def common_source(pen):
    common(pen, "NFet")


def differential_pair(pen):
    kind = pen.choose(["BjtNpn", "BjtNpn", "NFet"])
    base1, up1, down1 = pen.transistor(kind, (2, 4))
    base2, up2, down2 = pen.transistor(kind, (7, 4), mirrored=True)
    for base, step in ((base1, -1), (base2, 1)):
        pen.wire(base, (base[0] + step, base[1]))
        pen.dot((base[0] + step, base[1]), open=True)
    rail = up1[1] + 3
    for up in (up1, up2):
        pen.part("Resistor", (up[0], rail), up)
    pen.wire((up1[0], rail), (up2[0], rail))
    middle = ((down1[0] + down2[0]) / 2, down1[1] - 0.5)
    for down in (down1, down2):
        pen.wire(down, (down[0], middle[1])), pen.wire((down[0], middle[1]), middle)
    pen.part(pen.choose(["SourceI", "Resistor"]), middle, (middle[0], middle[1] - 3))
    ground(pen, (middle[0], middle[1] - 3))
    pen.rail((middle[0], rail))


def led_driver(pen):
    if pen.choose([True, False]):
        pen.part(pen.choose(["Battery", "SourceV"]), (0, 0), (0, 6), "V", breakable=False)
        pen.part("Resistor", (0, 6), (4, 6))
        for i in range(pen.choose([1, 2])):
            pen.part("LED", (4, 6 - 3 * i), (4, 3 - 3 * i))
            bottom = 3 - 3 * i
        pen.wire((4, bottom), (4, 0)) if bottom else None
        pen.wire((4, 0), (0, 0))
        return
    kind = pen.choose(["BjtNpn", "NFet"])
    base, up, down = pen.transistor(kind, (4, 3))
    pen.part("LED", (up[0], up[1] + 3), up)
    pen.part("Resistor", (up[0], up[1] + 6), (up[0], up[1] + 3))
    pen.rail((up[0], up[1] + 6))
    pen.part("Resistor", (base[0] - 3, base[1]), base)
    pen.dot((base[0] - 3, base[1]), open=True)
    ground(pen, down)


def colpitts_oscillator(pen):
    """A transistor whose tank is an inductor across two capacitors in series, tapped between them."""
    base, up, down = pen.transistor(pen.choose(["BjtNpn", "NFet"]), (3, 4))
    top = up[1] + 1
    pen.wire(up, (up[0], top))
    pen.part(pen.choose(["Resistor", "Inductor2"]), (up[0], top + 3), (up[0], top), breakable=False)
    pen.rail((up[0], top + 3))
    x = up[0] + 3
    pen.wire((up[0], top), (x, top))
    low = top - 6
    pen.part("Capacitor", (x, top), (x, top - 3))
    pen.part("Capacitor", (x, top - 3), (x, low))
    pen.wire((x, top), (x + 2.5, top)), pen.wire((x, low), (x + 2.5, low))
    pen.part("Inductor2", (x + 2.5, top), (x + 2.5, low))
    pen.wire(down, (down[0], top - 3)), pen.wire((down[0], top - 3), (x, top - 3))
    pen.part("Resistor", (down[0], top - 3), (down[0], low), breakable=False)
    pen.wire((down[0], low), (x, low))
    ground(pen, (down[0], low))
    pen.wire(base, (base[0] - 0.7, base[1])), pen.wire((base[0] - 0.7, base[1]), (base[0] - 0.7, low))
    pen.wire((base[0] - 0.7, low), (down[0], low))


def h_bridge(pen):
    """Four switches or transistors around a motor."""
    switches = pen.choose(["Switch", "NFet"])
    for x in (0, 6):
        for y in (0, 4):
            if switches == "Switch":
                pen.part("Switch", (x, y + 3), (x, y))
            else:
                gate, up, down = pen.transistor("NFet", (x, y + 1.5), mirrored=x > 0)
                pen.wire(up, (up[0], y + 3)), pen.wire((up[0], y + 3), (x, y + 3))
                pen.wire(down, (down[0], y)), pen.wire((down[0], y), (x, y))
                step = -0.7 if x == 0 else 0.7
                pen.wire(gate, (gate[0] + step, gate[1]))
            if pen.choose([False, False, True]):
                side = -1.2 if x == 0 else 1.2
                pen.wire((x, y), (x + side, y)), pen.wire((x, y + 3), (x + side, y + 3))
                pen.part("Diode", (x + side, y), (x + side, y + 3), breakable=False)
        pen.wire((x, 3), (x, 4))
    pen.part("Motor", (0, 3.5), (6, 3.5), "M")
    pen.wire((0, 7), (6, 7)), pen.wire((0, 0), (6, 0))
    pen.rail((3, 7)), ground(pen, (3, 0))


KINDS = {
    "RC low-pass filter": rc_low_pass,
    "RC high-pass filter": rc_high_pass,
    "series RLC circuit": rlc_series,
    "parallel RLC circuit": rlc_parallel,
    "voltage divider": voltage_divider,
    "Wheatstone bridge": wheatstone_bridge,
    "half-wave rectifier": half_wave_rectifier,
    "bridge rectifier": bridge_rectifier,
    "inverting op-amp amplifier": inverting_amplifier,
    "non-inverting op-amp amplifier": non_inverting_amplifier,
    "op-amp integrator": integrator,
    "Schmitt trigger": schmitt_trigger,
    "common-emitter amplifier": common_emitter,
    "common-source amplifier": common_source,
    "differential pair": differential_pair,
    "LED driver": led_driver,
    "Colpitts oscillator": colpitts_oscillator,
    "H-bridge motor driver": h_bridge,
}

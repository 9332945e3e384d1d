"""Vectors for writers."""


from .content import OUT, expected, write_expected
from .elements import TYPES
from .reader_lines import F32
from .reader_tensors import bits_of
from .summary import sketch, statistics


class Description:
    """What a writer is told, and what a reader must find in its trace."""

    def __init__(self, name, values=10, detail="stats", team="me"):
        self.name, self.values, self.detail, self.team = name, values, detail, team
        self.text = [f"team {team}", f"values {values}", f"detail {detail}"]
        self.lines = []

    def record(self, checkpoint, dtype, bits, token_idx=0, view=None, shape_text=None, shown=None, as_type=None, **more):
        size, decode, form = TYPES[dtype]
        name = checkpoint.encode()
        plain = all(0x20 <= byte < 0x7F for byte in name) and name == name.strip() and name
        self.text.append(f"record {token_idx} {checkpoint}" if plain else f"record_hex {token_idx} {name.hex()}")
        self.text.append(f"dtype {dtype}")
        self.text.append(" ".join(["data"] + [f"{one:0{2 * size}x}" for one in bits]))
        shape, logical = [len(bits)], bits
        if view:
            shape, strides, offset = view
            self.text.append(" ".join(["shape", *map(str, shape)]))
            self.text.append(" ".join(["strides", *map(str, strides)]))
            self.text.append(f"offset {offset}")
            places = [offset]
            for dim, stride in zip(shape, strides):
                places = [place + index * stride for place in places for index in range(dim)]
            logical = [bits[place] for place in places]
        if shape_text is not None:
            self.text.append(f"shape_text {shape_text}")
            shape = shown if shown is not None else shape
        if as_type:
            self.text.append(f"as {as_type}")
        for key, value in more.items():
            if key == "src":
                self.text += [f"src {one}" for one in value]
            elif key == "shard":
                self.text.append("shard " + " ".join(map(str, value)))
            else:
                self.text.append(f"{key} {value}")
        self.text.append("end")

        elements = [float(decode(one)) for one in logical]
        shown_values = elements if self.values == "all" or checkpoint == "tokens" else elements[: self.values]
        content = dict(more)
        if "shard" in content:
            rank, world, axis, index, count = content.pop("shard")
            content |= {"rank": rank, "world": world, "shard": {"axis": axis, "index": index, "count": count}}
        if self.detail != "values":
            content |= {"stats": statistics(elements), "sketch": sketch(elements)}
        if self.detail == "full":
            content["payload"] = {"dtype": dtype, "elements": elements}
        self.lines.append(
            (
                len(self.lines) + 1,
                expected(checkpoint, token_idx, as_type or dtype, shape, shown_values, team=self.team, **content),
            )
        )

    def save(self):
        (OUT / f"{self.name}.write.txt").write_text("\n".join(self.text) + "\n", encoding="utf-8")
        write_expected(self.name, self.lines)


def writers():
    for dtype, (size, decode, form) in TYPES.items():
        short = dtype.split("_")[0]
        d = Description(f"writer-{dtype.replace('_', '-')}" if short == "f8" else f"writer-{dtype}", detail="full")
        for count in (0, 1, 11, 300):
            d.record(f"{dtype}_{count}", dtype, bits_of(dtype, count, 3))
        top = 1 << (8 * size - 1)
        if form == "int" and dtype != "bool":
            d.record("extremes", dtype, [0, 1, top - 1, top, 2 * top - 1])
        elif form != "int":
            corners = [0, top, 1, top | 1]
            corners += [one for one in range(256)] if size == 1 else []
            if dtype == "f32":
                corners += [0x7F7FFFFF, 0x00800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFC12345, 0x3DCCCCCD]
            if dtype == "f64":
                corners += [0x7FEFFFFFFFFFFFFF, 0x0010000000000000, 0x7FF0000000000000, 0xFFF0000000000000]
                corners += [0x7FF8000000000000, 0x3FB999999999999A]
            if dtype == "f16":
                corners += [0x7BFF, 0x0400, 0x7C00, 0xFC00, 0x7E00, 0x7C01, 0x2E66]
            if dtype == "bf16":
                corners += [0x7F7F, 0x0080, 0x7F80, 0xFF80, 0x7FC0, 0x7F81, 0x3DCD]
            d.record("corners", dtype, corners)
            d.record("only_zeros", dtype, [top, 0, top])
        d.save()

    d = Description("writer-numbers", values="all", detail="values")
    d.record("nine_digits", "f32", [0x3F800001, 0x4B000001, 0x1E3CE508, 0x7149F2CA, 0x00FFFFFF] + bits_of("f32", 500, 9))
    d.record("seventeen_digits", "f64", [0x3FF0000000000001, 0x44B52D02C7E14AF7] + bits_of("f64", 500, 9))
    d.save()

    d = Description("writer-values-0", values=0)
    d.record("none", "f32", bits_of("f32", 20, 1))
    d.record("tokens", "i32", [504, 3575, 253], n_tokens=3, step=0)
    d.save()

    d = Description("writer-fields", values=3, detail="values", team='a "team"\\é')
    d.record("layer_0_q", "f32", bits_of("f32", 18, 1), token_idx=5, view=([2, 3, 3], [9, 3, 1], 0), n_tokens=2, step=1)
    d.record(
        "layer_0_k",
        "f32",
        bits_of("f32", 6, 1),
        token_idx=-3,
        n_tokens=0,
        step=0,
        seq=4,
        occurrence=2,
        token_axis=1,
        op="MUL_MAT",
        src=["a b", "c"],
        source="forward pass",
    )
    d.record("layer_0_v", "f32", bits_of("f32", 6, 1), shard=(1, 4, 1, 1, 2))
    d.record("with_text", "f32", bits_of("f32", 6, 1), shape_text="[1, 6]", shown=[1, 6])
    d.record("slice_of_more", "f32", bits_of("f32", 6, 1), shape_text="[151936]", shown=[151936])
    d.record("bad_text", "f32", bits_of("f32", 6, 1), shape_text="six")
    d.record("quantised", "f32", bits_of("f32", 6, 1), as_type="q4_1")
    d.record('quote " backslash \\ line end \n bell \a tab \t é漢😀', "f32", [])
    d.record("", "f32", [])
    d.record("scalar", "f32", bits_of("f32", 1, 1), view=([], [], 0))
    d.save()

    d = Description("writer-views", values="all", detail="full")
    data = bits_of("f32", 24, 2)
    d.record("reversed", "f32", data, view=([24], [-1], 23))
    d.record("every_third_from_1", "f32", data, view=([8], [3], 1))
    d.record("transposed", "f32", data, view=([6, 4], [1, 6], 0))
    d.record("permuted", "f32", data, view=([3, 2, 4], [4, 12, 1], 0))
    d.record("broadcast", "f32", data, view=([3, 4], [0, 1], 4))
    d.record("rows_backwards", "f32", data, view=([4, 6], [-6, 1], 18))
    d.record("empty", "f32", data, view=([0, 5], [5, 1], 0))
    d.record("i16_transposed", "i16", bits_of("i16", 12, 2), view=([4, 3], [1, 4], 0))
    big = bits_of("f32", 60 * 70, 4)
    d.save()
    d = Description("writer-large-view", values=4, detail="full")
    d.record("transposed", "f32", big, view=([70, 60], [1, 70], 0))
    d.save()

    d = Description("writer-sketch", values=2)
    for count in (15, 16, 17, 255, 256, 257, 896, 4097):
        d.record(f"f32_{count}", "f32", bits_of("f32", count, count))
    d.record("constant", "f32", [F32(1.5)] * 1000)
    bad = bits_of("f32", 6000, 8)
    bad[100], bad[300], bad[5000], bad[5999] = 0x7FC00000, 0x7F800000, 0xFF800000, 0x7FC00001
    d.record("non_finite", "f32", bad)
    d.record("nothing_finite", "f32", [0x7FC00000, 0x7F800000])
    d.record("big_i32", "i32", bits_of("i32", 600, 3))
    d.record("big_i64", "i64", bits_of("i64", 300, 3))
    d.record("f64", "f64", bits_of("f64", 700, 3))
    d.save()

"""Values that no element should have."""

from __future__ import annotations

TEXTS = (
    b"", b"\0", b" ", b"../../../../escaped", b"/tmp/escaped", b"a\0b", b"A" * 2000, b"\\" * 60,
    b"1.2.3\r\nforged line", b"<script>alert(1)</script>", b"=cmd|' /C calc'!A0", b"%s%n{0}", b"((((",
    "Ünïcödé\u202e✓".encode(), b"\xff\xfe\xfd\xfc", b"\x1b$B\x1b(J", b"None", b"YES",
)  # fmt: skip

NUMBERS = (
    b"nan", b"NaN", b"inf", b"-inf", b"-1", b"-1.5", b"0", b"-0", b"1e308", b"1e-308", b"1e400", b"9" * 60,
    b"99999", b"0.04999", b"49.9", b"1e3", b"1,5", b"0x10", b"", b"abc", b"1_000", b"\xb2", b"4096", b"7000",
)  # fmt: skip

LENGTHS = (0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFE, 0x80000000, 0x10000000, 0x00100000, 0xFFFE, 7, 1, 0)

CHARACTER_SETS = (
    b"", b"ISO_IR 100", b"ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"GB18030", b"ISO_IR 999", b"utf-7",
    b"../..",    b"ISO_IR 13\\ISO 2022 IR 87\\nonsense", b"\xff\xff",
)  # fmt: skip

SYNTAXES = (
    b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.5",
    b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.4.80",
    b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.102", b"1.2.840.113619.5.2", b"1.2.3.4.5",
    b"", b"nonsense",
)  # fmt: skip

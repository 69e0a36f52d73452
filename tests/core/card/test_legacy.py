# SPDX-License-Identifier: Apache-2.0
"""Images of version 1, made by the last release that wrote them, still are cards.

Keys are those of `counter`, test keys all. Each image: base 85 of the deflated cells.
"""

from __future__ import annotations

import base64
import zlib
from random import Random

import pytest

from citycard.core import tunion
from citycard.core.card import Card
from citycard.core.crypto import SM4_SUITE
from citycard.core.problem import Problem
from tests.core.card.counter import PUBLIC, SELECT, Counter, industry, transit

WHOLE = (
    "c-nJz4su~+VBr308r9FhAi2Y0%d;Tg<)0Wx2b?#61P3D%l*`z*04xe*#c%z}A`lUE9U{Rc0aC}n!~j*vWdS54pt_hMI1L#XS"
    "((`sR2W4$3_wEM0zjfcospqNX#fEOgNOjw-Hbp81|lFg8?cZF7)HS;7zLwXm;ieQ3oy-R6yO-C7aSR^=i=gKU<j3EUjS0Uz`"
    "`K${{4H1$O<(5j24W*nn08TsFKZyk&zWemV*PNf<XYPA6VjY2%tHDNgq@qE5PJAC!ooTYJlYBK79EAk>7wOF9w!3hs$3;lNS"
    "febHn7hIMC!J^cWeq7{ot7?dOs}lb6zAWDsI#0P1IClz`S|$UqLLUyi{5BoERrB7i-dEg3$1VEHe=;Na-w?BeR??&0a>?c?j"
    "`Pwn^w+QY<REWlui3Jgtv;-H8qf27CnX(gz4{Z0I_{!OfF>=+^9la?oL`=}v)tXZ=1$kiR~_w1qK41!9=E}?1V9Wz($K6Cfo"
    "e>0#t|AFS4p#rPXoCE_ZJHTxW9PKAYMgfNZK)}SvED%`0&d5?J+^8VQE}`HcWQc4Eyd6d^fVa=UKwW?dy<LW@y*9MLK({m1n"
    "HXvY)c?!_Y(L8Y+s`_{_OlJJ{p<s5KgR&u&pE*Ma}BWl+yiVs&j8!cJHYny4Y2+E18l#*0NXD(!1fCbto^X@t<iC<Q7{Td!6"
    "+D<002^Hr8f"
)
TORN = (
    "c-nJz4su~+VBr308r9FhAi2Y0%d;Tg<)0Wx01GO!s~Z>?I41zv3JeTNM;I6xm>3w_7Jwu<85o#+UT$aI7V+i+L^+oPkl<io2"
    "0{ow07ysx^?(557fwS4MpkAv1r<h74g-*ohyYkU6A*%dhzF1`U?&kMQ3&AfV1&AqK?LLv0~Qhi!zdU9qhJ&a6JXC^0jBwk0v"
    "sdtf+K_VTwL4?456~@3qUFuSQsSUzkd%AS%IdX(E?Okh;jf`vKcWlvZBaxaDY@W2tf4%OI!{CGzT#0gGyutm^`=^LI$E5AbG"
    "hDUp_$OH=xOjf#uEN@)ywL#liC2FnKNxG<gX<Mg}eh@efe@!L=JQkkVmf5MpQm>StsG%5kH+Uk<2Wj==yV57I9pfIXZo89sb"
    "q`7glW;OOM+;_Bw^;pye=<Ll>7?f3-R!^C1Nz+j0A3{8OIpol1cq{r`RC8&4(P5iO`O{{C|7$M@5mM3oes3Cr=S+erT)gA5k"
    "?4jZef=b3Np=sqEGgs|CbNAhUGoU&Df##c`0;|!S1Ouq;r}V_4q{Q@8MS+N@>)-|wqX5HyAYfu-76>e0XJn}qZd8zDmr!sJG"
    "DJ3ok%>ZQz}s73pf13K-Y$cvir~a5K4gJ9BSVeS00MO;hMEEOKl1?F&oaRFvktKRYy)gR`vBX|F~Ih74zT@P18hI{0Nc+q!1"
    "nVFu>E`kY(M`1+b=M{_6rWM{Xzq4KWuz!bX;o`jDk@x3I-<t0A%T->i"
)
BLOCKED = (
    "c-nJz4su~+VBpr7V=ckJAi2Y0%d;Tg<)0Wx2OJzAf)U1LY+C@Ln1C!0%~GigmEe*9sRN2am2xQn2??kq(;g;621Zt9HU$+%Q"
    "4Rx!Q7{Td!6+C7gA~{^Sbz(1KBEA~NWI|5U_BQXHv>bcEc*hG3I-MiiTCf{Lqt}f>1VWHWMpCx<p8Q=Gh$?9#i&#485sni`h"
    "m3shX9%bnDjw4i2_WXa{`*Ys0K)0?!%W45cv&g@?v0lbGZBkG<k8bJU2|9ivvwwLXVMwi$VMY)P61rG<hi<Mg}2<2B3aMMxY"
    "!wy8GpT`sEl5K=L5{A_CaM*^=SI2bTW=3=WP?&MvNQ?jD|A-afv5{?v*`Mua^~EXD#1mZ-qc1SrnPD8NwuNRQvsN>K0moA_h"
    ">n^@P_F+#*AEl=F`QA7M#vt;Fwt2^57*+az{1eJ_kLet7SX0F<O=I*=yW<YcP1I;%>1y-Xu37(+$fFlD(`w0}L|ABysky#+H"
    "fSr-0Qn*n;l3hZ<LCBD*&VaYiMpnB_ospqtK<#H5VEdT|*nXA)wx4x??PnWc``HKBevSdQpL2li=Ne%9xd+&Oo&mO>cYy8Z8"
    "({nS2iSgr0k&UofbAC=So=r8C>RB!U=$2)003A*c%l"
)


def old(text: str) -> bytes:
    """The cells of an image."""
    return zlib.decompress(base64.b85decode(text))


def woken(text: str) -> Counter:
    """A counter with the old card, in the field."""
    counter = Counter(Card.from_image(old(text), Random(5).randbytes))
    counter.card.power_on()
    return counter


def test_a_card_of_version_1_is_what_it_was_and_goes_on() -> None:
    counter = woken(WHOLE)
    assert counter.select()[-30:] == PUBLIC
    assert counter.balance() == 9_400
    assert counter.ok("00B0960802") == b"\x01\x02"
    assert counter.records(tunion.SFI_TRANSIT) == [transit(0x04)]
    records = counter.records(tunion.SFI_INDUSTRY)
    assert (len(records), records[0], records[1][:4].hex()) == (18, industry(1, 0x22), "2702007c")
    log = [tunion.LOG.decode(record) for record in counter.records(tunion.SFI_LOG)]
    assert [row["amount_fen"] for row in log] == [600, 10_000]
    counter.purchase(400)
    counter.load(1_000)
    assert counter.authenticate().ok
    assert counter.sw("80D43E01153EF0020100" + "00" * 16) != "9000"  # no key is free in plain
    assert Counter(Card.from_image(counter.card.image(), Random(5).randbytes)).card.power_on()


def test_what_a_cut_interrupted_in_version_1_is_finished() -> None:
    counter = woken(TORN)
    counter.select()
    assert counter.balance() == 8_900
    assert counter.records(tunion.SFI_TRANSIT) == [transit(7), transit(0x04)]
    assert counter.sw("805A000902000208") == "9000"


def test_a_blocked_sm4_card_of_version_1_stays_one() -> None:
    counter = woken(BLOCKED)
    counter.suite = SM4_SUITE
    assert counter.sw(SELECT) == "6283"
    assert counter.balance() == 700
    counter.ok(counter.secured("84180000"))
    counter.select()
    counter.purchase(700)


@pytest.mark.parametrize("damage", [6, 8, 1600, 1700])
def test_a_damaged_image_of_version_1_is_said_to_be_one(damage: int) -> None:
    image = bytearray(old(WHOLE))
    image[damage] ^= 1
    with pytest.raises(Problem, match="no usable card image"):
        Card.from_image(bytes(image), Random(5).randbytes).power_on()

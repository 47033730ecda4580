"""Invented people and details for the court samples.

A court record names the accused in full and everybody else by surname and "Mou", so-and-so.
"""

from __future__ import annotations

import random
from datetime import date, timedelta

SURNAMES = (
    "Zhao Qian Sun Li Zhou Wu Zheng Wang Feng Chen Chu Wei Jiang Shen Han Yang Zhu Qin Xu He Lu Shi Zhang Kong Cao "
    "Yan Hua Jin Tao Qi Xie Zou Yu Bai Dou Yun Su Pan Ge Fan Peng Lang Ma Fang Ren Yuan Liu Tang Fei Luo Hao An "
    "Chang Gu Meng Ping Huang"
).split()
GIVEN = (
    "Ming Wei Lei Qiang Jun Yong Jie Tao Chao Bin Hui Ling Yan Na Fang Juan Xia Dan Jianguo Jianhua Guoqiang "
    "Zhiyuan Haoran Wenbin Xiaodong Yuting Lihua Chunmei Dehua Shaohua Yifan Zhenyu Kaiwen Meilan Guilan Shufen "
    "Dongsheng Baoyu Tianci Ruifeng"
).split()
DETAILS: dict[str, tuple[str, ...]] = {
    "city": (
        "Linhe City",
        "Tongshan County",
        "Baixi City",
        "Yanquan District",
        "Nanpu County",
        "Heyuan Town",
        "Qingtan City",
        "Shuangqiao District",
        "Wujiang New Area",
        "Longkou County",
    ),
    "later": ("two days later", "the following week", "some ten days later", "a month later"),
    "hour": ("about 9 p.m.", "about 11 p.m.", "about midnight", "about 4 p.m.", "about 8 p.m."),
}


def draw_names(rng: random.Random, number: int) -> list[str]:
    """Full names with different surnames."""
    return [f"{surname} {rng.choice(GIVEN)}" for surname in rng.sample(SURNAMES, number)]


def draw_details(rng: random.Random, avoid: list[str]) -> dict[str, str]:
    """One value for each detail, a {month} and a later {day}, and two people beside `avoid`: {victim}, {witness}."""
    taken = {name.split()[0] for name in avoid}
    victim, witness = rng.sample([surname for surname in SURNAMES if surname not in taken], 2)
    details = {name: rng.choice(values) for name, values in DETAILS.items()}
    month = date(rng.randint(2015, 2021), rng.randint(1, 12), 1)
    day = month + timedelta(days=rng.randint(90, 300))
    return details | {
        "victim": f"{victim} Mou",
        "witness": f"{witness} Mou",
        "month": f"{month:%B %Y}",
        "day": f"{day.day} {day:%B %Y}",
    }


def listing(names: list[str]) -> str:
    """Names joined as in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

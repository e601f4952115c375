"""The experts: the scripted three-phase expert, its demonstrations, and what looks at them."""

from h2rh_env.utils.moved import answer_old_names

answer_old_names()

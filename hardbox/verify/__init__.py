"""`hardbox verify`: attacks a profile on this host, and shows that it holds.

Run by: cli/verify.py and tests/attack. `check` is the vocabulary and the judge, `corpus/` the
attacks as data, `probes/` the attacker's hand in C, `world` what is watched from outside, `runner`
and `engine` run lists of attempts, `posture` compares a running job with its plan, `examine` puts
it together; `table`, `page` and `findings` say what came out.
"""

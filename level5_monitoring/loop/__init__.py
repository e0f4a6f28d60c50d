"""The closed loop: each night it runs the monitors on the newest closed day, decides by policy, and acts.

Read `policy` first (pure: monitor results in, one decision out), then `controller` (one day from poll to act). The rest
serves them: `policy_state` and `loop_store` keep the record, `alerts` and `outbox` notify people, `freshness` watches
the label feed, `schedule` and `flow` start the nightly runs, `explain` shows a decision with its evidence.
"""

"""The chaos suite: every way of sending that can go wrong, as a run on a real chain that must come out right.

    python -m tests.chaos_suite --scenario T1,T5 --seeds 20 --from 1 --jobs 2 --resume

runs scenarios × seeds (`make chaos`: all, 20 seeds) and writes `build/chaos.json`, a list of
`{scenario, seed, passed, figures}`. Each scenario also runs once with its protection switched off, recorded as
"T1 unprotected": that run passes by failing. What a run that did not pass leaves (the proxy's log, the keeper's log,
its journal, the signer's store) is kept under `build/chaos/<scenario>-<seed>/`. `--resume` leaves out what passed
before with the same sources, from `build/chaos.jsonl`.

The parts: `world.py` (venues with endangered accounts, built once per worker: "curie", and "reference" of
`reference_site.py`), `judge.py` (shared criteria), `rival.py` (a stranger's key), `hostile.py` (a collateral that
fights back), `stage.py` (one run: proxy, signer process, keepers, what is counted), `killing.py` (a keeper in a process
of its own that ends by SIGKILL), `scenario.py` (what a scenario is), `once.py` (one run, judged), `workers.py`,
`results.py`, `table.py` (every scenario).

How to add one
--------------

1. In `scenarios/<group>.py` write a function that returns the run, protected or not:

       def lost_head(*, protected: bool) -> Run:
           \"\"\"T3: the lowest nonce is swallowed with forty-nine behind it.\"\"\"

           def run(stage: Stage, rng: random.Random) -> Figures:
               keeper = stage.keeper()                    # real parts; journal in stage.folder / "one"
               if not protected:
                   without_rescue(keeper)                 # switch off the one thing that saves it
               lost = stage.proxy.add(Fault(Drop(), sends(nonce=stage.first_nonce, last=1)))
               stage.tick(keeper)                         # one block's work of the keeper's loop
               stage.mine()                               # one block; only this makes blocks
               hit(stage.proxy.hits(lost) == 1, "expected the head swallowed once, found it was not")
               ...
               require(stage.reverted() == 0, f"expected no revert, found {stage.reverted()}")
               return {"liquidated": len(stage.effects())}

           return run

   `require` raises Failed: a pass criterion does not hold. `hit` raises Unhit: the fault was not there, so the run
   says nothing. Any other exception is an error. The unprotected run must end in Failed, nothing else, and say the
   words `fails` of its line in `table.py`: what its protection prevents, not anything that goes wrong.
2. Add one line to SCENARIOS in `table.py` (`world="reference"` for that venue; `geth_pool=False` for Anvil's own pool)
   and its name to WANTED there.
3. Take what may vary from `rng` (which nonces, how many, fees, order, the fault's block), so that 20 seeds are 20
   different runs; the same seed is the same run.
4. Criteria and figures come from the chain (`stage.effects()`, `sent()`, `reverted()`, `spent()`, `nonces(keeper)`,
   `unfulfilled(keeper)`) and the proxy's log (`stage.proxy.exchanges`, `hits`, `blocks`, `nonce_errors()`), never from
   what the keeper says of itself alone.
5. Await events (`proxy.wait`, a returned call), never a clock. Answers are waited for up to `stage.PATIENCE_S`.

Wraps for a keeper's parts: `stage.keeper(ledger=…, outlets=…, signer=…, rules=…, endpoints=("b",))`; a restart is
`stage.close(keeper)` and `stage.keeper()` again with the same name; another name has another journal. A world of
another venue is a `Site` in `world.py` and one line in WORLDS.
"""

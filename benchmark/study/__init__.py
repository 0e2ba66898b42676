"""People as judges: a page that asks which picture is real, a server for a room, and what the answers say.

`build` makes two files: a page without any network and without the truth, and a key that knows the truth and stays with
whoever runs the study. `serve` hands the page out and stores answers; `score` joins answers and key. What the tables
need of it is one small file, `results/<data>/<preset>/study.json`.
"""

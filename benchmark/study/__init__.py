"""Asks people which picture is real, by a page or a server for a room, and scores their answers.

`build` makes two files: a page that needs no network and holds no truth, and a key that holds the truth and stays with
whoever runs the study. `serve` hands the page out and stores answers; `score` joins answers and key. The tables need
only one small file from a study, `results/<data>/<preset>/study.json`.
"""

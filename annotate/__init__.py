"""Annotator in the browser: a person clicks, the network answers, no answer is lost.

`journal` keeps, `state` says what the kept events mean, `events` what a request means as one,
`desk` runs the network, `photos` puts them together for a photo, `tabs` says whose turn it is,
`server` speaks HTTP, `guard` decides who may, `exports` writes files, `page/` is what a browser
shows; `interactor` answers other tools' clicks: `label_studio`, and CVAT by `cvat/`.
"""

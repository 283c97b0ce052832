"""Teaching in the browser: a person stands where the simulated user of a task stream does.

`rounds` and `labels` say what a photo's journal means, `course` is the person's side of the thread
that learns, `lessons` that of a method that learns photos (`interseg.continual.teacher`); `server`
speaks HTTP, `exports` writes masks and transfer.json.
"""

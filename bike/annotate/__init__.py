"""Official annotation files to lists: class names, splits, and an audit of what does not fit the videos."""

from bike.annotate.audit import Audit, Finding
from bike.annotate.classes import readable_name
from bike.annotate.entries import Annotations, Entry, ReadOptions
from bike.annotate.few_shot import choose_shots, write_few_shot
from bike.annotate.media import Media, read_media
from bike.annotate.run import DATASETS, annotate
from bike.formats.folders import IMAGE_TEMPLATES
from bike.formats.lists import read_published_list
from bike.names import VIDEO_EXTENSIONS

__all__ = [
    "DATASETS",
    "IMAGE_TEMPLATES",
    "VIDEO_EXTENSIONS",
    "Annotations",
    "Audit",
    "Entry",
    "Finding",
    "Media",
    "ReadOptions",
    "annotate",
    "choose_shots",
    "read_media",
    "read_published_list",
    "readable_name",
    "write_few_shot",
]

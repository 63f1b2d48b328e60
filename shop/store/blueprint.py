"""The one blueprint of the storefront; every module of this door hangs its pages on it."""

from flask import Blueprint

bp = Blueprint("store", __name__)

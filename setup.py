"""What pyproject.toml cannot say: conf, beside the package here, is inside it in a wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["deepthink*"]), "deepthink.conf"],
    package_dir={"deepthink.conf": "conf"},
)

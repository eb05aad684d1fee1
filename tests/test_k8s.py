from pathlib import Path

import yaml
from ray.serve.schema import ServeDeploySchema

from serve_app.app import AppArgs, served_catalog
from tests.conftest import ROOT


def test_the_serve_config_is_one_that_ray_and_the_application_take() -> None:
    config = ServeDeploySchema.model_validate(yaml.safe_load((ROOT / "k8s/serve-config.yaml").read_text()))
    [application] = config.applications
    module, _, builder = application.import_path.partition(":")
    assert (Path(ROOT, *module.split(".")).with_suffix(".py").is_file(), builder) == (True, "build")
    args = AppArgs.model_validate(application.args)
    catalog = served_catalog(args)
    assert (len(catalog.variants), catalog.default) == (16, "minilm-l12")

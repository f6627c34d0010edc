"""The configs that an installed howdeep brings stand behind those of a project, file by file.

Hydra imports this module whenever it starts, and asks the plugin in every application of this environment.
"""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from howdeep.files import configs, project


class PackagedConfigs(SearchPathPlugin):
    """Appends howdeep's own conf/, where the config folder is that of a project of howdeep."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        main = [Path(of.path) for of in search_path.get_path() if of.provider == "main"]
        for conf in main:
            if conf.name == "conf" and project.is_project(conf.parent) and (found := configs.behind(conf)):
                search_path.append("howdeep", str(found))

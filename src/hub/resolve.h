#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hub/environment.h"

namespace foregate::hub {

/// What a command needs of a model that it finds in the cache.
struct ModelNeeds {
  std::vector<std::string> files{};
  bool weights = false;  ///< model.safetensors, or all shards that the index names
};

/// A model by its directory or by its name on the hub: `argument` itself if there is anything of
/// that name, or if it can be no name on the hub; else the snapshot of its revision "main" in the
/// cache, of OWNER/NAME/FILE.gguf that file in it. Throws EnvironmentError, which says to run
/// `foregate pull`, if it is not there or if files are missing. Never asks the network.
std::filesystem::path find_model(const std::string& argument, const ModelNeeds& needs,
                                 const Environment& environment);

/// The same for a dataset, with what comes behind its name: "stanfordnlp/imdb",
/// "stanfordnlp/imdb/plain_text/test-*.parquet".
std::filesystem::path find_dataset(const std::string& argument, const Environment& environment);

/// How a model's directory is called: OWNER/NAME if it is a snapshot in a cache, else its own name,
/// as that of a file.
std::string model_name(const std::filesystem::path& directory);

}  // namespace foregate::hub

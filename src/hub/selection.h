#pragma once

#include <functional>
#include <string>
#include <vector>

namespace foregate::hub {

using Paths = std::vector<std::string>;

/// Which files of a repository to pull.
struct Selection {
  Paths include{};         ///< patterns; if there are any, they alone say what is pulled
  Paths exclude{};         ///< patterns; taken away in the end
  bool all_files = false;  ///< instead of the usual files
};

/// Whether a path matches a pattern of huggingface_hub's kind: `*` and `?` match '/' too, `[...]`
/// one of several characters, and a '/' at the end stands for everything below.
bool matches(const std::string& pattern, const std::string& path);

/// What `selection` chooses from the files of a repository, in their order; `usual` says what is
/// pulled without --include and --all-files. Throws UsageError if a pattern to include matches
/// nothing, or nothing is left; `repo` names the repository in it.
Paths select(const Paths& files, const Selection& selection,
             const std::function<Paths(const Paths&)>& usual, const std::string& repo);

/// What foregate reads of a model: config.json, the tokenizer, and model.safetensors or the shards
/// with their index. Throws DataError if the model has no safetensors.
Paths usual_model_files(const Paths& files);

}  // namespace foregate::hub

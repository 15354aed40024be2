#include "hub/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "hub/pull.h"
#include "hub/repo_cache.h"
#include "hub/repo_id.h"

namespace foregate::hub {
namespace {

constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr const char* kConfigFile = "config.json";
constexpr const char* kAdapterFile = "adapter_config.json";

/// The snapshot that "main" was when it was pulled.
std::optional<fs::path> find_snapshot(const RepoId& repo, const Environment& environment) {
  const RepoCache cache(environment.cache, repo);
  const auto commit = cache.commit_of(kDefaultRevision);
  if (!commit || !fs::is_directory(cache.snapshot(*commit))) return std::nullopt;
  return cache.snapshot(*commit);
}

bool has_owner(const std::string& name) {
  return name.find('/') != std::string::npos;
}

bool is_called_gguf(const std::string& name) {
  return name.ends_with(".gguf");
}

/// Whoever looks for a name with '/' may mean a repository; "config.jsn" is a slip of the finger,
/// and "models/tiny.gguf" a file that is not there.
bool may_be_repository(const std::string& name) {
  return has_owner(name) && !is_called_gguf(name);
}

[[noreturn]] void throw_not_here(const std::string& name, const char* kind, const char* command,
                                 const Environment& environment) {
  throw EnvironmentError(
      fmt::format("no such file or directory: {0}, and no {1} of that name in the Hugging Face "
                  "cache {2}; if it is on the hub, run: {3} {0}",
                  name, kind, environment.cache.string(), command));
}

/// The first file of the weights that is not there; empty if all are.
std::string missing_weights(const fs::path& model) {
  if (fs::exists(model / kSingleFile)) return "";
  if (!fs::exists(model / kIndexFile)) return kSingleFile;
  const Json index = read_json(model / kIndexFile);
  const JsonReader weight_map =
      JsonReader(index, (model / kIndexFile).string()).object("weight_map");
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map.json().items()) {
    shards.insert(weight_map.string(tensor.c_str()));
  }
  for (const std::string& shard : shards) {
    if (!fs::exists(model / shard)) return shard;
  }
  return "";
}

/// A folder of an adapter alone (LoRA), which has no config.json of its own.
void refuse_adapter(const fs::path& model, const ModelNeeds& needs) {
  const bool needs_config = std::ranges::find(needs.files, kConfigFile) != needs.files.end();
  if (!needs_config || fs::exists(model / kConfigFile) || !fs::exists(model / kAdapterFile)) return;
  const fs::path path = model / kAdapterFile;
  const Json adapter = read_json(path);
  const std::string base = JsonReader(adapter, path.string()).string("base_model_name_or_path", "");
  throw DataError(fmt::format(
      "{} is an adapter ({}){}, not a model; merge it into that model and save the result (of "
      "peft: merge_and_unload, save_pretrained)",
      model.string(), kAdapterFile, base.empty() ? "" : fmt::format(" of {}", base)));
}

/// "Qwen/Qwen3-30B-A3B/", as a shell completes the name of a folder that is not here.
std::string without_trailing_slashes(const std::string& argument) {
  const size_t last = argument.find_last_not_of('/');
  return last == std::string::npos ? argument : argument.substr(0, last + 1);
}

void require_files(const fs::path& model, const std::string& name, const ModelNeeds& needs) {
  std::string missing;
  for (const std::string& file : needs.files) {
    if (missing.empty() && !fs::exists(model / file)) missing = file;
  }
  if (missing.empty() && needs.weights) missing = missing_weights(model);
  if (missing.empty()) return;
  throw EnvironmentError(
      fmt::format("the model {} is not whole in the Hugging Face cache: {} has no {}; run: "
                  "foregate pull {}",
                  name, model.string(), missing, name));
}

/// "OWNER/NAME/FILE.gguf": a file of a repository of GGUF files, which hold a model each. Nothing
/// if it is not spelled like that.
std::optional<fs::path> find_gguf(const std::string& argument, const Environment& environment) {
  if (!is_called_gguf(argument)) return std::nullopt;
  const size_t first = std::min(argument.find('/'), argument.size());
  const size_t second = argument.find('/', first + 1);
  if (second == std::string::npos) return std::nullopt;
  const std::string name = argument.substr(0, second);
  const std::string file = argument.substr(second + 1);
  if (!RepoId::is_valid(name)) return std::nullopt;
  const std::string command = fmt::format("foregate pull --include '{}'", file);
  const auto snapshot = find_snapshot({RepoKind::kModel, name}, environment);
  if (snapshot && fs::exists(*snapshot / file)) return *snapshot / file;
  throw EnvironmentError(fmt::format(
      "no such file: {}, and none of model {} in the Hugging Face cache {}; if it is on "
      "the hub, run: {} {}",
      argument, name, environment.cache.string(), command, name));
}

}  // namespace

fs::path find_model(const std::string& argument, const ModelNeeds& needs,
                    const Environment& environment) {
  std::error_code error;
  const std::string name = without_trailing_slashes(argument);
  if (fs::exists(argument, error)) {
    refuse_adapter(argument, needs);
    return argument;
  }
  if (const auto file = find_gguf(argument, environment)) return *file;
  if (!RepoId::is_valid(name)) return argument;
  const auto snapshot = find_snapshot({RepoKind::kModel, name}, environment);
  if (!snapshot && !may_be_repository(name)) return argument;
  if (!snapshot) throw_not_here(name, "model", "foregate pull", environment);
  refuse_adapter(*snapshot, needs);
  require_files(*snapshot, name, needs);
  return *snapshot;
}

fs::path find_dataset(const std::string& argument, const Environment& environment) {
  std::error_code error;
  if (fs::exists(argument, error)) return argument;
  // The name ends before the second '/'; of datasets without an owner before the first.
  const size_t first = std::min(argument.find('/'), argument.size());
  const size_t second = std::min(argument.find('/', first + 1), argument.size());
  for (const size_t end : {second, first}) {
    const std::string name = argument.substr(0, end);
    if (fs::exists(name, error)) return argument;
    if (!RepoId::is_valid(name)) continue;
    const auto snapshot = find_snapshot({RepoKind::kDataset, name}, environment);
    if (!snapshot) continue;
    return end == argument.size() ? *snapshot : *snapshot / argument.substr(end + 1);
  }
  if (!RepoId::is_valid(argument) || !has_owner(argument)) return argument;
  throw_not_here(argument, "dataset", "foregate pull --dataset", environment);
}

std::string model_name(const fs::path& directory) {
  // A file of a snapshot is a link to what is called by its hash.
  if (fs::is_regular_file(directory)) return directory.filename().string();
  const fs::path canonical = fs::weakly_canonical(directory);
  const auto repo = repo_of_snapshot(canonical);
  return repo ? repo->name : canonical.filename().string();
}

}  // namespace foregate::hub

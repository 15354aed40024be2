#include "tensor/files/checkpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/containers/gguf_header.h"
#include "base/error.h"
#include "base/json.h"
#include "tensor/files/gguf_split.h"
#include "tensor/files/safetensors.h"

namespace foregate::tensor {
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

/// Also of a link that leads nowhere: opening it says so.
bool has_name(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

// A shard lies beside its index; a path that leads elsewhere is not followed.
void check_shard_name(const std::string& name, const std::string& tensor, const fs::path& index) {
  if (name.empty() || fs::path(name).filename() != name || name == "..") {
    throw DataError(
        fmt::format("{}: weight_map puts tensor \"{}\" into \"{}\"; expected the name of a "
                    "file in the same folder",
                    index.string(), tensor, name));
  }
}

std::vector<std::string> files_of_index(const fs::path& index) {
  const Json json = read_json(index);
  const JsonReader weight_map = JsonReader(json, index.string()).object("weight_map");
  std::set<std::string> names;
  for (const auto& [tensor, file] : weight_map.json().items()) {
    names.insert(weight_map.string(tensor.c_str()));
    check_shard_name(file.get<std::string>(), tensor, index);
  }
  return {names.begin(), names.end()};
}

}  // namespace

std::vector<std::string> weight_files(const fs::path& model) {
  if (is_gguf_file(model)) return gguf_split_files(model);
  if (fs::exists(model / kSingleFile)) return {kSingleFile};
  const fs::path index = model / kIndexFile;
  return fs::exists(index) ? files_of_index(index) : std::vector<std::string>();
}

fs::path weights_folder(const fs::path& model) {
  return is_gguf_file(model) ? model.parent_path() : model;
}

bool holds_two_checkpoints(const fs::path& directory) {
  const fs::path index = directory / kIndexFile;
  if (!fs::exists(directory / kSingleFile) || !fs::exists(index)) return false;
  try {
    const std::vector<std::string> files = files_of_index(index);
    return std::ranges::any_of(files, [](const std::string& file) { return file != kSingleFile; });
  } catch (const DataError&) {
    return true;  // An index that nobody reads may be broken.
  }
}

std::string newer_pickled_weights(const fs::path& directory) {
  const std::vector<std::string> read = weight_files(directory);
  std::error_code error;
  std::string newest;
  fs::file_time_type time = fs::file_time_type::min();
  for (const std::string& file : read) {
    const auto written = fs::last_write_time(directory / file, error);
    if (!error) time = std::max(time, written);
  }
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("pytorch_model") || !name.ends_with(".bin")) continue;
    const auto written = entry.last_write_time(error);
    if (error || written <= time) continue;
    time = written;
    newest = name;
  }
  return read.empty() ? "" : newest;
}

Checkpoint::Checkpoint(const fs::path& directory) : directory_(directory) {
  if (!fs::is_directory(directory)) {
    throw EnvironmentError(
        fmt::format("{}: there is no such folder; expected a model's folder with "
                    "config.json and {}",
                    directory.string(), kSingleFile));
  }
  if (has_name(directory / kSingleFile)) {
    open_shard(kSingleFile);
  } else if (has_name(directory / kIndexFile)) {
    read_index(directory / kIndexFile);
  } else {
    throw EnvironmentError(fmt::format(
        "{}: there is neither {} nor {}; download the model's safetensors files, or convert it",
        directory.string(), kSingleFile, kIndexFile));
  }
  // Tensors that no index mentions are listed too, so that loading can call them unexpected.
  for (size_t i = 0; i < shards_.size(); ++i) {
    for (const TensorEntry& entry : shards_[i]->entries()) shard_index_.emplace(entry.name, i);
  }
}

Checkpoint::Checkpoint(const fs::path& path, std::vector<std::unique_ptr<TensorFile>> files,
                       NamesInFile names_in_file)
    : directory_(path), shards_(std::move(files)), names_in_file_(std::move(names_in_file)) {
  for (size_t i = 0; i < shards_.size(); ++i) {
    for (const TensorEntry& entry : shards_[i]->entries()) {
      if (shard_index_.emplace(entry.name, i).second) continue;
      throw DataError(fmt::format("{}: tensor \"{}\" is in another file of the model, too",
                                  shards_[i]->path().string(), name_in_file(entry.name)));
    }
  }
}

const std::string& Checkpoint::name_in_file(const std::string& name) const {
  const auto found = names_in_file_.find(name);
  return found == names_in_file_.end() ? name : found->second;
}

void Checkpoint::read_index(const fs::path& path) {
  const Json json = read_json(path);
  const JsonReader weight_map = JsonReader(json, path.string()).object("weight_map");
  std::map<std::string, size_t> opened;
  for (const auto& [name, value] : weight_map.json().items()) {
    const std::string shard = value.is_string() ? value.get<std::string>() : value.dump();
    check_shard_name(shard, name, path);
    if (!opened.contains(shard)) {
      if (!has_name(directory_ / shard)) {
        throw EnvironmentError(
            fmt::format("{}: shard {} is missing; {} puts tensor \"{}\" into it. "
                        "Download it again",
                        directory_.string(), shard, kIndexFile, name));
      }
      opened[shard] = open_shard(shard);
    }
    const size_t number = opened[shard];
    if (!shards_[number]->contains(name)) {
      throw DataError(
          fmt::format("{}: {} puts tensor \"{}\" into it, but it is not there; the files do "
                      "not belong together, download them again",
                      shards_[number]->path().string(), kIndexFile, name));
    }
    shard_index_.emplace(name, number);
  }
}

size_t Checkpoint::open_shard(const std::string& name) {
  shards_.push_back(std::make_unique<SafetensorsFile>(directory_ / name));
  return shards_.size() - 1;
}

const TensorFile* Checkpoint::find_shard(std::string_view name) const {
  const auto found = shard_index_.find(name);
  return found == shard_index_.end() ? nullptr : shards_[found->second].get();
}

const TensorFile& Checkpoint::shard_of(std::string_view name) const {
  const TensorFile* shard = find_shard(name);
  if (shard != nullptr) return *shard;
  throw DataError(
      fmt::format("{}: the checkpoint has no tensor \"{}\"", directory_.string(), name));
}

const TensorEntry* Checkpoint::find(std::string_view name) const {
  const TensorFile* shard = find_shard(name);
  return shard == nullptr ? nullptr : shard->find(name);
}

torch::Tensor Checkpoint::tensor(std::string_view name) const {
  return shard_of(name).tensor(name);
}

torch::Tensor Checkpoint::rows(std::string_view name, int64_t first, int64_t count) const {
  return shard_of(name).rows(name, first, count);
}

void Checkpoint::release_rows(std::string_view name, int64_t first, int64_t count) const {
  if (const TensorFile* shard = find_shard(name)) shard->release_rows(name, first, count);
}

void Checkpoint::release_pages(std::string_view name) const {
  if (const TensorFile* shard = find_shard(name)) shard->release_pages(name);
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, shard] : shard_index_) names.push_back(name);
  return names;
}

}  // namespace foregate::tensor

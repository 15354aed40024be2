#include "models/gguf/gguf_model.h"

#include <fmt/core.h>

#include <map>

#include "base/error.h"
#include "tensor/files/gguf_split.h"

namespace foregate::models {
namespace {

constexpr const char* kSplitCount = "split.count";
constexpr const char* kSplitNumber = "split.no";
constexpr int64_t kMostFiles = 99999;

void check_part(const GgufHeader& header, int64_t number, int64_t count) {
  const int64_t said = header.integer(kSplitCount, 0, kMostFiles, 1);
  // One file may say that it is split into none.
  if (std::max<int64_t>(said, 1) != count) {
    header.fail(kSplitCount,
                fmt::format("{}, as the file's name says; a part must be called as it was written "
                            "(NAME-00001-of-0000N.gguf)",
                            count));
  }
  if (count > 1 && header.integer(kSplitNumber, 0, kMostFiles, number) != number) {
    header.fail(kSplitNumber, fmt::format("{}, as the file's name says", number));
  }
}

}  // namespace

GgufModel::GgufModel(const std::filesystem::path& path) {
  const std::vector<std::string> names = tensor::gguf_split_files(path);
  for (const std::string& name : names) {
    const fs::path file = path.parent_path() / name;
    if (names.size() > 1 && !fs::exists(file)) {
      throw EnvironmentError(
          fmt::format("{}: part {} is missing; the model has {} parts, download it again",
                      path.string(), name, names.size()));
    }
    files_.push_back(std::make_shared<tensor::GgufFile>(file));
    check_part(files_.back()->header(), static_cast<int64_t>(files_.size()) - 1,
               static_cast<int64_t>(names.size()));
  }
}

const tensor::TensorEntry* GgufModel::find(std::string_view name) const {
  for (const auto& file : files_) {
    if (const tensor::TensorEntry* entry = file->find(name)) return entry;
  }
  return nullptr;
}

std::string GgufModel::description() const {
  std::map<std::string_view, int> counts;
  for (const auto& file : files_) {
    for (const GgufTensor& tensor : file->header().tensors()) ++counts[tensor.type->name];
  }
  std::string text;
  for (const auto& [type, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "gguf: " : ", ", count, type);
  }
  return text;
}

}  // namespace foregate::models

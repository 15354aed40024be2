#include "tensor/files/gguf_split.h"

#include <fmt/core.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "base/files.h"

namespace foregate::tensor {
namespace {

constexpr int kMostFiles = 99999;

// "-00001-of-00003": what stands at the end of the name's stem.
std::optional<int> number_of_files(std::string_view stem) {
  constexpr std::string_view kShape = "-00000-of-00000";
  if (stem.size() <= kShape.size()) return std::nullopt;
  const std::string_view tail = stem.substr(stem.size() - kShape.size());
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool fits = kShape[i] == '0' ? tail[i] >= '0' && tail[i] <= '9' : tail[i] == kShape[i];
    if (!fits) return std::nullopt;
  }
  int number = 0;
  int count = 0;
  std::from_chars(tail.data() + 1, tail.data() + 6, number);
  std::from_chars(tail.data() + 10, tail.data() + 15, count);
  if (number < 1 || number > count || count > kMostFiles) return std::nullopt;
  return count;
}

}  // namespace

std::vector<std::string> gguf_split_files(const fs::path& path) {
  const std::string stem = path.stem().string();
  const std::optional<int> count = number_of_files(stem);
  if (!count) return {path.filename().string()};
  const std::string name = stem.substr(0, stem.size() - 15);
  std::vector<std::string> files;
  for (int i = 1; i <= *count; ++i) {
    files.push_back(fmt::format("{}-{:05}-of-{:05}{}", name, i, *count, path.extension().string()));
  }
  return files;
}

fs::path first_gguf_file(const fs::path& path) {
  return path.parent_path() / gguf_split_files(path).front();
}

}  // namespace foregate::tensor

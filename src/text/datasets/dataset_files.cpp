#include "text/datasets/dataset_files.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "text/datasets/readers.h"

namespace foregate::text {
namespace {

namespace fs = std::filesystem;

enum class Format { kCsv, kTsv, kJson, kJsonLines, kParquet, kArrow, kText };

constexpr const char* kKnownFormats =
    "csv, tsv, json, jsonl, txt (also .gz and .zst), parquet, arrow";

/// JSON files that the hub and the datasets library put beside the data.
constexpr std::array<std::string_view, 5> kMetadata{
    "dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "config.json"};

std::string extension_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return std::tolower(c); });
  return extension;
}

/// By the name without the extension of a compression.
std::optional<Format> format_of_extension(const fs::path& path) {
  const std::string extension = extension_of(path);
  if (extension == ".gz" || extension == ".zst" || extension == ".zstd") {
    const auto packed = format_of_extension(path.stem());
    const bool is_text = packed != Format::kParquet && packed != Format::kArrow;
    return is_text ? packed : std::nullopt;
  }
  if (extension == ".csv") return Format::kCsv;
  if (extension == ".tsv" || extension == ".tab") return Format::kTsv;
  if (extension == ".json") return Format::kJson;
  if (extension == ".jsonl" || extension == ".ndjson") return Format::kJsonLines;
  if (extension == ".parquet" || extension == ".pq") return Format::kParquet;
  if (extension == ".arrow" || extension == ".feather") return Format::kArrow;
  if (extension == ".txt" || extension == ".text") return Format::kText;
  return std::nullopt;
}

std::optional<Format> format_of_content(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string start(64, '\0');
  stream.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<size_t>(stream.gcount()));
  if (start.starts_with("PAR1")) return Format::kParquet;
  if (start.starts_with("ARROW1")) return Format::kArrow;
  const size_t first = start.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && (start[first] == '{' || start[first] == '[')) {
    return Format::kJson;
  }
  return std::nullopt;
}

bool is_data_file(const fs::path& path) {
  const std::string name = path.filename().string();
  return !name.starts_with('.') && format_of_extension(path) &&
         std::ranges::find(kMetadata, name) == kMetadata.end();
}

std::vector<fs::path> files_below(const fs::path& directory) {
  std::vector<fs::path> files;
  fs::recursive_directory_iterator entries(directory);
  for (; entries != fs::recursive_directory_iterator(); ++entries) {
    const bool hidden = entries->path().filename().string().starts_with('.');
    if (hidden && entries->is_directory()) {
      entries.disable_recursion_pending();
    } else if (entries->is_regular_file()) {
      files.push_back(entries->path());
    }
  }
  return files;
}

/// The data files of a directory.
std::vector<fs::path> directory_files(const fs::path& directory) {
  std::vector<fs::path> files;
  try {
    files = files_below(directory);
  } catch (const fs::filesystem_error& failure) {
    throw EnvironmentError(fmt::format("cannot list the directory {}: {}", directory.string(),
                                       failure.code().message()));
  }
  files = readable_files(files);
  if (files.empty()) {
    throw DataError(fmt::format("{}: no data file in the directory; expected one of {}",
                                directory.string(), kKnownFormats));
  }
  return files;
}

/// What a shell would make of the pattern.
std::vector<fs::path> matching_paths(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&::globfree)> owner(&found, &::globfree);
  std::vector<fs::path> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  return paths;
}

}  // namespace

std::vector<fs::path> readable_files(const std::vector<fs::path>& paths) {
  const auto is_text = [](const fs::path& file) {
    return format_of_extension(file) == Format::kText;
  };
  std::vector<fs::path> files;
  std::ranges::copy_if(paths, std::back_inserter(files), is_data_file);
  if (!std::ranges::all_of(files, is_text)) std::erase_if(files, is_text);
  return files;
}

std::vector<fs::path> dataset_files(const fs::path& path) {
  std::error_code error;
  const std::string name = path.string();
  const bool exists = fs::exists(path, error);
  const bool is_pattern = !exists && name.find_first_of("*?[") != std::string::npos;
  const auto paths = is_pattern ? matching_paths(name) : std::vector{path};
  if (paths.empty() || (!exists && !is_pattern)) {
    throw EnvironmentError(is_pattern ? fmt::format("no file matches {}", name)
                                      : fmt::format("no such file or directory: {}", name));
  }
  std::vector<fs::path> files;
  for (const fs::path& one : paths) {
    if (fs::is_directory(one)) {
      std::ranges::copy(directory_files(one), std::back_inserter(files));
    } else {
      files.push_back(one);
    }
  }
  std::ranges::sort(files);
  return files;
}

std::unique_ptr<RowReader> open_file(const fs::path& path, const ColumnRequest& request) {
  auto format = format_of_extension(path);
  const auto content = format_of_content(path);
  // A table in a binary format is what it says, whatever it is called.
  if (!format || content == Format::kParquet) format = content;
  if (!format) {
    throw DataError(
        fmt::format("{}: format not known; expected one of {}", request.where, kKnownFormats));
  }
  switch (*format) {
    case Format::kCsv:
      return open_csv(path, ',', request);
    case Format::kTsv:
      return open_csv(path, '\t', request);
    case Format::kJson:
      return open_json(path, request);
    case Format::kJsonLines:
      return open_json_lines(path, request);
    case Format::kParquet:
      return open_parquet(path, request);
    case Format::kArrow:
      return open_arrow(path, request);
    case Format::kText:
      return open_lines(path);
  }
  throw DataError(fmt::format("{}: format not known", request.where));
}

}  // namespace foregate::text

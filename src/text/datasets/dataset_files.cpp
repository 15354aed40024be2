#include "text/datasets/dataset_files.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/stand_in.h"
#include "base/unpack.h"
#include "text/datasets/readers.h"

namespace foregate::text {
namespace {

namespace fs = std::filesystem;

enum class Format { kCsv, kTsv, kJson, kJsonLines, kParquet, kArrow, kText };

constexpr const char* kKnownFormats =
    "csv, tsv, json, jsonl, txt (also .gz, .zst, .bz2 and .lz4), parquet, arrow";

constexpr std::array<std::string_view, 5> kCompressions{".gz", ".zst", ".zstd", ".bz2", ".lz4"};

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
  if (std::ranges::find(kCompressions, extension) != kCompressions.end()) {
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

std::optional<Format> format_of_content(std::string_view content) {
  // Encrypted files and the old Feather have marks of their own; their readers say what they are.
  if (content.starts_with("PAR1") || content.starts_with("PARE")) return Format::kParquet;
  if (content.starts_with("ARROW1") || content.starts_with("FEA1")) return Format::kArrow;
  const size_t first = content.substr(0, 64).find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (first != std::string::npos && (content[first] == '{' || content[first] == '[')) {
    return Format::kJson;
  }
  return std::nullopt;
}

bool is_data_file(const fs::path& path) {
  const std::string name = path.filename().string();
  return !name.starts_with('.') && format_of_extension(path) &&
         std::ranges::find(kMetadata, name) == kMetadata.end();
}

/// Whether it is a link to nothing, as a copy of a cache's links is: opening it says so.
bool leads_nowhere(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(path, error)) && !fs::exists(path, error);
}

std::vector<fs::path> files_below(const fs::path& directory) {
  std::vector<fs::path> files;
  fs::recursive_directory_iterator entries(directory);
  for (; entries != fs::recursive_directory_iterator(); ++entries) {
    const bool hidden = entries->path().filename().string().starts_with('.');
    if (hidden && entries->is_directory()) {
      entries.disable_recursion_pending();
    } else if (entries->is_regular_file() || leads_nowhere(entries->path())) {
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

/// A path as a pattern that matches nothing else.
std::string literal(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

/// The pattern with the folders it begins with taken as they are called, where there are such: a
/// folder named "[a]" is not the folder "a".
std::string with_literal_folders(const std::string& pattern) {
  size_t end = 0;
  std::error_code error;
  for (size_t slash = pattern.find('/'); slash != std::string::npos;
       slash = pattern.find('/', slash + 1)) {
    if (slash > 0 && !fs::is_directory(pattern.substr(0, slash), error)) break;
    end = slash;
  }
  return literal(pattern.substr(0, end)) + pattern.substr(end);
}

/// What a shell would make of the pattern.
std::vector<fs::path> glob_paths(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&::globfree)> owner(&found, &::globfree);
  std::vector<fs::path> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  return paths;
}

/// `directory` and those below it.
std::vector<fs::path> directories_below(const fs::path& directory) {
  std::vector<fs::path> directories{directory};
  std::error_code error;
  fs::recursive_directory_iterator entries(directory, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (!entries->is_directory(error)) continue;
    if (entries->path().filename().string().starts_with('.')) {
      entries.disable_recursion_pending();
    } else {
      directories.push_back(entries->path());
    }
  }
  return directories;
}

/// As glob_paths(); "**" as a whole name stands for any number of folders.
std::vector<fs::path> matching_paths(const std::string& pattern) {
  constexpr std::string_view kAnyFolders = "**";
  size_t begin = 0;
  while (begin < pattern.size()) {
    const size_t end = std::min(pattern.find('/', begin), pattern.size());
    if (pattern.substr(begin, end - begin) == kAnyFolders) break;
    begin = end + 1;
  }
  if (begin >= pattern.size()) return glob_paths(pattern);
  const std::string front = begin == 0 ? "." : pattern.substr(0, std::max<size_t>(begin - 1, 1));
  const std::string rest = pattern.substr(std::min(begin + 3, pattern.size()));
  std::vector<fs::path> paths;
  for (const fs::path& folder : glob_paths(front)) {
    if (!fs::is_directory(folder)) continue;
    if (rest.empty()) {
      paths.push_back(folder);
      continue;
    }
    for (const fs::path& below : directories_below(folder)) {
      const auto found = matching_paths(literal(below.string()) + "/" + rest);
      paths.insert(paths.end(), found.begin(), found.end());
    }
  }
  return paths;
}

/// For a table in a binary format: its reader's own message would be about a missing mark.
void require_parquet(std::string_view content, const std::string& where) {
  constexpr std::string_view kMark = "PAR1", kEncryptedMark = "PARE";
  if (content.starts_with(kEncryptedMark) || content.ends_with(kEncryptedMark)) {
    throw DataError(fmt::format(
        "{} is an encrypted Parquet file; write it without encryption to read it here", where));
  }
  if (!content.starts_with(kMark)) {
    throw DataError(
        fmt::format("{} is no Parquet file: it does not begin with {}; copy the file "
                    "again, or give it the ending of its format",
                    where, kMark));
  }
  if (!content.ends_with(kMark)) {
    throw DataError(fmt::format("{} is cut off: a Parquet file ends with {}; copy the file again",
                                where, kMark));
  }
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
  const bool exists = fs::exists(path, error) || leads_nowhere(path);
  const bool is_pattern = !exists && name.find_first_of("*?[") != std::string::npos;
  const auto paths = is_pattern ? matching_paths(with_literal_folders(name)) : std::vector{path};
  if (paths.empty() || (!exists && !is_pattern)) {
    const bool brackets = name.find('[') != std::string::npos;
    throw EnvironmentError(
        is_pattern ? fmt::format("no file matches {}{}", name,
                                 brackets ? "; a [ that belongs to a name is written [[]" : "")
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
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

std::unique_ptr<RowReader> open_file(const fs::path& path, const ColumnRequest& request) {
  const MappedFile file(path);
  auto format = format_of_extension(path);
  const auto content = format_of_content(file.text());
  // A table in a binary format is what it says, whatever it is called.
  if (!format || content == Format::kParquet || content == Format::kArrow) format = content;
  if (format != Format::kText) refuse_web_page(file.text(), request.where);
  if (!format) {
    refuse_archive(file.text(), request.where);
    throw DataError(
        fmt::format("{}: format not known; expected one of {}", request.where, kKnownFormats));
  }
  switch (*format) {
    case Format::kCsv:
      return open_csv(path, ',', request);
    case Format::kTsv:
      return open_csv(path, '\t', request);
    case Format::kJson:
      return open_json(path, false, request);
    case Format::kJsonLines:
      return open_json(path, true, request);
    case Format::kParquet:
      require_parquet(file.text(), request.where);
      return open_parquet(path, request);
    case Format::kArrow:
      return open_arrow(path, request);
    case Format::kText:
      return open_lines(path);
  }
  throw DataError(fmt::format("{}: format not known", request.where));
}

}  // namespace foregate::text

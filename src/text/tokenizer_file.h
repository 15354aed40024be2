#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/vocabulary.h"

namespace foregate {

/// A tokenizer.json in memory: the two large tables apart, the rest as JSON.
struct TokenizerFile {
  std::string where;  ///< the file's path, for errors
  Json components;    ///< the document; model.vocab and model.merges are null
  Vocabulary vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;  ///< in rank order

  /// Throws EnvironmentError (missing) or DataError (not JSON, tables of the wrong kind).
  static TokenizerFile read(const std::filesystem::path& path);
};

}  // namespace foregate

#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/tokenizer/vocabulary.h"

namespace foregate::text {

/// A tokenizer.json in memory: the two large tables apart, the rest as JSON.
struct TokenizerFile {
  std::string where;  ///< the file's path, for errors
  /// The document; model.vocab and model.merges are null.
  std::shared_ptr<const Json> document;
  Vocabulary vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;  ///< in rank order

  /// The component at `key`, or null.
  const Json& component(const char* key) const;

  /// Throws EnvironmentError (missing) or DataError (not JSON, tables of the wrong kind).
  static TokenizerFile read(const std::filesystem::path& path);
};

}  // namespace foregate::text

#pragma once

// Internal to trace/.

#include <filesystem>
#include <memory>
#include <string>

#include "trace/import/source.h"
#include "trace/manifest.h"
#include "trace/writer.h"

namespace foregate::trace {

/// Writes the texts of a source into shards and counts them by dataset.
class ImportWriter {
 public:
  /// `manifest`: what the traces have in common; `source`: the path, as the user gave it.
  ImportWriter(const std::filesystem::path& directory, Manifest manifest, std::string source);

  /// Gives the text its `sample` if it has none. A text without tokens is counted as skipped.
  /// Throws DataError naming the text's place if its values cannot be meant.
  void add(SourceText& text);
  /// Writes the manifest. Throws DataError if no text had tokens.
  Manifest finish();

 private:
  DatasetEntry& dataset_of(const std::string& name);
  void finish_shard();

  std::filesystem::path directory_;
  Manifest manifest_;
  std::string source_;
  size_t known_datasets_ = 0;  ///< an export's own, at the beginning of the manifest's
  std::unique_ptr<ShardWriter> shard_;
  size_t last_ = 0;     ///< dataset of the text before
  int64_t traces_ = 0;  ///< in the open shard
  int64_t tokens_ = 0;
};

}  // namespace foregate::trace

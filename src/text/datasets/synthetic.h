#pragma once

#include <cstdint>
#include <filesystem>

namespace foregate::text {

/// Made-up texts for measuring speed, and a tokenizer.json that knows their words: byte-level BPE
/// of `vocab_size` tokens over pronounceable words, split as Qwen's tokenizer splits. Every word of
/// the texts but the first of each is one token, drawn evenly, so that ids spread over the
/// vocabulary.
class SyntheticTexts {
 public:
  /// Throws UsageError for a vocabulary too small to hold words.
  explicit SyntheticTexts(int64_t vocab_size);

  void write_tokenizer(const std::filesystem::path& path) const;
  /// One text a line, of `shortest` to `longest` tokens, evenly.
  void write_texts(const std::filesystem::path& path, int64_t texts, int64_t shortest,
                   int64_t longest, uint64_t seed) const;

 private:
  int64_t num_words_;  ///< of three syllables
};

}  // namespace foregate::text

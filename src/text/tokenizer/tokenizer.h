#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::text {

/// Text to token ids, from a Hugging Face tokenizer.json, from a GGUF file or from tiktoken's
/// ranks. Exact: a component of the file that is not implemented is refused by name when loading,
/// never approximated. encode() is const and safe to call from many threads.
class Tokenizer {
 public:
  /// Throws EnvironmentError (missing) or DataError (broken, or uses what is not implemented).
  static Tokenizer load(const std::filesystem::path& path);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of `text` (UTF-8; invalid bytes are replaced by U+FFFD as Python's errors="replace" does).
  /// `add_special` applies the post-processor's tokens (BOS and so on).
  std::vector<int32_t> encode(std::string_view text, bool add_special = true) const;

  /// The token's text as the vocabulary spells it ("Ġthe", "▁the", "<0xE2>"), or as people read it
  /// (" the"; bytes that are not UTF-8 shown as U+FFFD). Empty if `id` is not in the vocabulary.
  std::string token(int32_t id) const;
  std::string decoded_token(int32_t id) const;
  /// What the token adds to a text that is generated: bytes, perhaps a part of a character. Nothing
  /// for special tokens and ids that are not in the vocabulary.
  std::string token_bytes(int32_t id) const;

  int32_t vocab_size() const;  ///< highest id + 1, added tokens included
  /// What the file says that is passed over, a line each.
  const std::vector<std::string>& notes() const;
  const std::string& kind() const;  ///< one line for people: "byte-level BPE, 4096 tokens, NFC"

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace foregate::text

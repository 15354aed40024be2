#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "text/unicode/unicode_tables.h"

namespace foregate::text {

/// A compiled regular expression over UTF-8 (PCRE2 with Unicode properties, JIT where the machine
/// has it). Immutable: any number of threads may search with it, each with a Searcher of its own.
class Regex {
 public:
  /// `pattern` in tokenizer.json's dialect, see to_pcre2_pattern(). Throws DataError if it is
  /// broken, unsupported or can match nothing at all; `where` names file and key.
  Regex(std::string_view pattern, const std::string& where);
  /// Any one character of `ranges`.
  static Regex of_characters(std::span<const CodePointRange> ranges);
  /// `text` and nothing else. Throws DataError if it is empty.
  static Regex of_text(std::string_view text, const std::string& where);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  struct Match {
    size_t begin, end;
  };

  /// The scratch memory of one thread's search.
  class Searcher {
   public:
    explicit Searcher(const Regex& regex);
    ~Searcher();
    Searcher(const Searcher&) = delete;
    Searcher& operator=(const Searcher&) = delete;

    /// The first match in `text` (valid UTF-8) at or behind `from`.
    std::optional<Match> find(std::string_view text, size_t from);

   private:
    const Regex& regex_;
    void* match_data_;
  };

 private:
  Regex() = default;
  /// `translated` is PCRE2's; `pattern` the one to name in errors.
  void compile(const std::string& translated, std::string_view pattern, const std::string& where);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace foregate::text

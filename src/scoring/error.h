#pragma once

#include <string>

#include "base/error.h"

namespace foregate::scoring {

/// A predictor that this library cannot run, or not so, although it is one.
class UnsupportedError : public Error {
 public:
  explicit UnsupportedError(const std::string& message) : Error(message) {}
};

/// A prediction that needs something the sequence was not told.
class NotObservedError : public Error {
 public:
  explicit NotObservedError(const std::string& message) : Error(message) {}
};

}  // namespace foregate::scoring

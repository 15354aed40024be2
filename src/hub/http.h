#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "base/run_context.h"
#include "hub/environment.h"
#include "hub/retry.h"

namespace foregate::hub {

/// What came back, after redirects.
struct Response {
  int status = 0;
  Headers headers;
  std::string error_body;     ///< the beginning of what an answer other than 2xx carries
  bool from_endpoint = true;  ///< false: another host answered, after a redirect
};

/// Takes the body of a 2xx answer.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Once for an answer with a body, before the first append().
  virtual void start(const Response& response) = 0;
  virtual void append(std::span<const std::byte> bytes) = 0;
};

/// The connection failed, or broke off in the middle. Trying again may help.
class ConnectionError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Thrown out of a transfer, or a wait, when its StopToken says so.
class Stopped : public std::runtime_error {
 public:
  Stopped() : std::runtime_error("stopped") {}
};

/// GET requests, one after the other; a connection stays open between them. Not for several
/// threads at once.
class HttpClient {
 public:
  /// `stop` outlives the client and is asked at least once a second while a transfer runs; `log`
  /// says what is tried again.
  HttpClient(const Environment& environment, const StopToken& stop, Logger& log);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Asks for `url`, from byte `first_byte` on, follows redirects (the token goes to the endpoint's
  /// own host only) and hands the body of a 2xx answer to `sink` as it comes. Throws
  /// ConnectionError, Stopped, EnvironmentError (certificates), DataError (redirects that lead
  /// nowhere), and what the sink throws. Other answers than 2xx are returned.
  Response get(const std::string& url, uint64_t first_byte, Sink& sink);

  const Environment& environment() const { return environment_; }
  const StopToken& stop() const { return stop_; }
  Logger& log() const { return log_; }

 private:
  struct Transfer;
  struct Impl;
  Response get_once(const std::string& url, uint64_t first_byte, Sink& sink);

  Environment environment_;
  const StopToken& stop_;
  Logger& log_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace foregate::hub

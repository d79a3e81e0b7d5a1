"""The page for people that the service has at `/`: HTML, CSS and JavaScript modules, served as they are.

It speaks the public API alone. There is no build step; types stand in comments (JSDoc).

Its files:

    index.html                 all that is ever on the page
    page.css                   how it looks, light and dark
    app.js                     the steps from a recording to its corrected transcript
    api.js                     requests, and errors as sentences
    transcript.js              words, places to review, corrections; without a page
    words.js                   the transcript on the page
    review.js                  the list of what to look at
    corrections.js             sending corrections
    player.js                  playing the recording
    terms.js                   words to expect
    microphone.js, capture.js  samples of the microphone; the second runs in the audio thread
    live.js                    a realtime session
    exports.js                 text, subtitles and JSON as files
    shortcuts.js, theme.js     keys; colours
    elements.js                small tools
    atkinson.woff2             Atkinson Hyperlegible Next, whose letters and digits are hard to mistake for each other
"""
